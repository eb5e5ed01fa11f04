"""A root filesystem that is being built: looked into and written to without leaving it, whatever
links are in it.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from typing import BinaryIO, Callable

from udockpy.layer.member import Kind, Member
from udockpy.util.beneath import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from udockpy.store.tree import Tree

ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def mode_of(tree: Tree, path: str) -> int | None:
    """The real type and mode of a path, links followed; None where nothing is."""
    with Root(tree.rootfs) as root:
        try:
            return root.stat(path).st_mode
        except OSError as e:
            if e.errno in ABSENT:
                return None
            raise


def is_directory(tree: Tree, path: str) -> bool:
    return stat.S_ISDIR(mode_of(tree, path) or 0)


def read(tree: Tree, path: str) -> str:
    """The text of a file, "" where there is none."""
    with Root(tree.rootfs) as root:
        try:
            return root.read(path).decode("utf-8", "surrogateescape")
        except OSError as e:
            if e.errno in (*ABSENT, errno.EISDIR):
                return ""
            raise


def remove(tree: Tree, path: str) -> None:
    """Removes a file, if it is there."""
    with Root(tree.rootfs) as root:
        try:
            parent, name = root.locate(path, follow=False)
        except OSError as e:
            if e.errno in ABSENT:
                return
            raise
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        finally:
            os.close(parent)


def put(tree: Tree, members: Iterable[Member]) -> None:
    """Writes members over what is there."""
    from udockpy.layer.tree_writer import write_tree

    write_tree(members, tree.rootfs, tree.fakedb)


def file(name: str, text: str, mtime: int, *, mode: int = 0o644) -> Member:
    """A file of root's with that text; `mtime` in seconds since 1970."""
    content = text.encode("utf-8", "surrogateescape")
    return Member(
        name,
        Kind.FILE,
        mode=mode,
        mtime_ns=mtime * 10**9,
        size=len(content),
        content=_opener(content),
    )


def link(name: str, target: str, mtime: int) -> Member:
    return Member(name, Kind.SYMLINK, mode=0o777, link=target, mtime_ns=mtime * 10**9)


def directory(name: str, mtime: int, *, mode: int = 0o755) -> Member:
    return Member(name, Kind.DIRECTORY, mode=mode, mtime_ns=mtime * 10**9)


def _opener(content: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(content)
