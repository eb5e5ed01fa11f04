"""Guest paths looked up on the host without ever leaving the guest's root, whatever links the guest
planted.

This is the kernel's RESOLVE_IN_ROOT in Python: absolute links start at the root again, `..` stops
there.
"""

from __future__ import annotations

import errno
import os

MAX_LINKS = 40  # as the kernel's MAXSYMLINKS
STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def components(path: str) -> list[str]:
    """The names in a path, without empty ones and dots; `..` is kept."""
    return [name for name in path.split("/") if name not in ("", ".")]


class Root:
    """A directory that is the root of everything opened through it. Use as a context manager."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Root:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def open(self, path: str, flags: int = os.O_RDONLY) -> int:
        """Opens what a process with this root would open; links at the end are followed."""
        parent, name = self.locate(path, follow=True)
        try:
            # O_NONBLOCK: a fifo in the guest must not hang its caller.
            return os.open(
                name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=parent
            )
        finally:
            os.close(parent)

    def read(self, path: str, limit: int = 1 << 24) -> bytes:
        """The first `limit` bytes of a regular file."""
        with os.fdopen(self.open(path), "rb") as file:
            return file.read(limit)

    def stat(self, path: str) -> os.stat_result:
        parent, name = self.locate(path, follow=True)
        try:
            return os.stat(name, dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)

    def locate(self, path: str, *, follow: bool) -> tuple[int, str]:
        """A descriptor (the caller's to close) of the directory that holds `path`, and the name in
        it.
        """
        walk = [os.dup(self.fd)]
        try:
            name = self._walk(walk, components(path), follow=follow)
            return walk.pop(), name
        finally:
            for fd in walk:
                os.close(fd)

    def _walk(self, walk: list[int], todo: list[str], *, follow: bool) -> str:
        """Moves along `todo`, keeping the descriptors from the root to here in `walk`; returns the
        last name.
        """
        links = 0
        name = "."
        while todo:
            name = todo.pop(0)
            if name == "..":
                if len(walk) > 1:
                    os.close(walk.pop())
                name = "."
                continue
            link = _read_link(name, walk[-1]) if todo or follow else None
            if link is not None:
                links += 1
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
                if link.startswith("/"):
                    while len(walk) > 1:
                        os.close(walk.pop())
                todo[:0] = components(link)
                name = "."
            elif todo:
                walk.append(os.open(name, STEP, dir_fd=walk[-1]))
        return name


def _read_link(name: str, parent: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError as e:
        if e.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise
