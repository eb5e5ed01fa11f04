"""Files and directories that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def scratch_name(path: str) -> str:
    """A name beside `path` that nobody else uses; names with a leading dot are never listed."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name[:80]}.{os.getpid()}-{os.urandom(4).hex()}")


def write(path: str, content: bytes, *, mode: int = 0o600) -> None:
    """Replaces the file `path` in one step."""
    scratch = scratch_name(path)
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        os.rename(scratch, path)
    except BaseException as e:
        with contextlib.suppress(OSError):
            os.unlink(scratch)
        if isinstance(e, OSError):
            e.filename = path  # write(2) does not say what it was about
        raise


def write_if_changed(path: str, content: bytes, *, mode: int = 0o600) -> None:
    """As write(), but leaves a file alone that already holds `content`."""
    try:
        with open(path, "rb") as file:
            if file.read() == content:
                return
    except FileNotFoundError:
        pass
    write(path, content, mode=mode)


@contextlib.contextmanager
def new_directory(path: str) -> Iterator[str]:
    """Yields a scratch directory that becomes `path` at the end, or vanishes when the block fails.

    Renaming onto a directory that is not empty fails, so of two that make the same name one loses,
    cleanly.
    """
    from udockpy.util import tree

    scratch = scratch_name(path)
    os.mkdir(scratch, 0o700)
    try:
        yield scratch
        os.rename(scratch, path)
    except BaseException:
        tree.remove(scratch)
        raise
