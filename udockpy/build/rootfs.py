"""A root filesystem that is being built: looked into and written to without leaving it, whatever
links are in it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from typing import BinaryIO, Callable

from udockpy.layer.member import Kind, Member
from udockpy.util.beneath import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from udockpy.container.plan import Bind
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
    """Removes a file or an empty directory, if it is there."""
    with Root(tree.rootfs) as root:
        try:
            parent, name = root.locate(path, follow=False)
        except OSError as e:
            if e.errno in ABSENT:
                return
            raise
        try:
            if stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                os.rmdir(name, dir_fd=parent)
            else:
                os.unlink(name, dir_fd=parent)
        except OSError as e:
            if e.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                raise
        finally:
            os.close(parent)


def put(tree: Tree, members: Iterable[Member]) -> None:
    """Writes members over what is there."""
    from udockpy.layer.tree_writer import write_tree

    write_tree(members, tree.rootfs, tree.fakedb)


def missing_folders(tree: Tree, path: str, mtime: int) -> list[Member]:
    """The directories on the way to `path`, itself included, that are not there yet."""
    parts = path.strip("/").split("/")
    names = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return [directory(name, mtime) for name in names if name and mode_of(tree, name) is None]


@contextlib.contextmanager
def mount_points(tree: Tree, binds: Iterable[Bind], mtime: int) -> Iterator[None]:
    """What binds need to be bound on, for as long as a guest runs: the skeleton that other runs
    get in the place of a missing directory cannot be written to.
    """
    made: list[Member] = []
    times: dict[str, tuple[int, int]] = {}  # of directories: before, and with what was made
    for bind in binds:
        added = _mount_point(tree, bind, mtime)
        if added:
            folder = os.path.dirname(added[0].name)
            before = times[folder][0] if folder in times else _stat(tree, folder).st_mtime_ns
            put(tree, added)
            times[folder] = before, _stat(tree, folder).st_mtime_ns
            made += added
    try:
        yield
    finally:
        untouched = [name for name in times if _stat(tree, name).st_mtime_ns == times[name][1]]
        for member in reversed(made):
            remove(tree, member.name)
        for name in untouched:
            _set_time(tree, name, times[name][0])


def _mount_point(tree: Tree, bind: Bind, mtime: int) -> list[Member]:
    if mode_of(tree, bind.target) is not None:
        return []
    if os.path.isdir(bind.source):
        return missing_folders(tree, bind.target, mtime)
    folders = missing_folders(tree, os.path.dirname(bind.target), mtime)
    if bind.optional:
        return folders  # guests do without it where they have nothing there
    return [*folders, file(bind.target.strip("/"), "", mtime)]


def _stat(tree: Tree, path: str) -> os.stat_result:
    with Root(tree.rootfs) as root:
        return root.stat(path)


def _set_time(tree: Tree, path: str, mtime_ns: int) -> None:
    with Root(tree.rootfs) as root:
        parent, name = root.locate(path, follow=True)
        try:
            os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=parent)
        finally:
            os.close(parent)


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
