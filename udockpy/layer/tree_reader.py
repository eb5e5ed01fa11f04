"""Reads a directory tree as its guest sees it: the real files, and what the fakedb remembers of
them.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from typing import BinaryIO

from udockpy.layer.fakedb import LINKS, MODE, NODE, OWNER, Fakedb, Record, key_of
from udockpy.layer.member import Kind, Member, clean_name
from udockpy.layer.seal import is_seal, unsealed
from udockpy.layer.shared import is_shared, own_mode
from udockpy.util.tree import DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@contextlib.contextmanager
def open_tree(rootfs: str, fakedb: str) -> Iterator[TreeReader]:
    """Yields a reader of a tree; `fakedb` need not exist."""
    if not fakedb or not os.path.exists(fakedb):
        yield TreeReader(rootfs, None)
        return
    with Fakedb(fakedb, read_only=True) as database:
        yield TreeReader(rootfs, database)


class TreeReader:
    """Walks one tree; descriptors all the way, so that a guest that renames things under way gains
    nothing.
    """

    def __init__(self, path: str, fakedb: Fakedb | None) -> None:
        self.path = path
        self.fakedb = fakedb
        self.caller = os.getuid(), os.getgid()

    def members(self) -> Iterator[Member]:
        """Every file, directories before what they hold, in the order of names: a file's further
        names as hard links to its first. A content must be read at once.
        """
        return folded(self.names())

    def names(self, top: str = "") -> Iterator[Member]:
        """As members(), with every name of a file telling the file itself; only of `top` and what
        it holds. Links on the way to `top` are not followed.
        """
        top = clean_name(top)
        folder, name = os.path.split(top)
        fd = self._descend(folder)
        try:
            found = os.lstat(name or ".", dir_fd=fd)
            yield from self._entry(fd, name or ".", top, found)
        finally:
            os.close(fd)

    def _descend(self, folder: str) -> int:
        fd = os.open(self.path, DIRECTORY)
        for name in filter(None, folder.split("/")):
            above = fd
            try:
                fd = os.open(name, DIRECTORY, dir_fd=above)
            finally:
                os.close(above)
        return fd

    def member(self, folder_fd: int, name: str) -> Member:
        """A file that is no directory, as a tree of its own."""
        return self._member(folder_fd, name, "", os.lstat(name, dir_fd=folder_fd))

    def _walk(self, folder_fd: int, folder: str) -> Iterator[Member]:
        for name in sorted(os.listdir(folder_fd)):
            found = os.lstat(name, dir_fd=folder_fd)
            if stat.S_ISSOCK(found.st_mode):
                continue  # means nothing without its process
            path = f"{folder}/{name}" if folder else name
            yield from self._entry(folder_fd, name, path, found)

    def _entry(
        self, folder_fd: int, name: str, path: str, found: os.stat_result
    ) -> Iterator[Member]:
        if not stat.S_ISDIR(found.st_mode):
            yield self._member(folder_fd, name, path, found)
            return
        fd = os.open(name, DIRECTORY, dir_fd=folder_fd)
        try:
            yield self._member(fd, ".", path, found)
            yield from self._walk(fd, path)
        finally:
            os.close(fd)

    def _member(self, fd: int, name: str, path: str, found: os.stat_result) -> Member:
        record, xattrs = self._remembered(fd, name, found.st_ino)
        own = _user_xattrs(fd, name, found)
        seals = {key: value for key, value in own if is_seal(key)}
        if seals and not (record.has or xattrs):
            record, xattrs = unsealed(seals)
        kind = Kind(stat.S_IFMT(record.mode) if record.has & NODE else stat.S_IFMT(found.st_mode))
        uid, gid = self._owner(found)
        return Member(
            name=path,
            kind=kind,
            mode=stat.S_IMODE(record.mode if record.has & MODE else own_mode(found.st_mode)),
            uid=record.uid if record.has & OWNER else uid,
            gid=record.gid if record.has & OWNER else gid,
            mtime_ns=found.st_mtime_ns,
            size=found.st_size if kind is Kind.FILE else 0,
            link=os.readlink(name, dir_fd=fd) if kind is Kind.SYMLINK else "",
            rdev=record.rdev
            if record.has & NODE
            else (os.major(found.st_rdev), os.minor(found.st_rdev)),
            xattrs=(
                *sorted(xattrs.items()),
                *((key, value) for key, value in own if key not in seals and not record.has & NODE),
            ),
            content=_Opener(fd, name) if kind is Kind.FILE else None,
            inode=(found.st_dev, found.st_ino),
            links=self._links(found, record),
        )

    def _remembered(self, fd: int, name: str, ino: int) -> tuple[Record, Mapping[str, bytes]]:
        if self.fakedb is None or not self.fakedb.maybe(ino):
            return Record(0), {}
        key = key_of(name, dir_fd=fd)
        return self.fakedb.get(key) or Record(0), self.fakedb.xattrs(key)

    def _links(self, found: os.stat_result, record: Record) -> int:
        """How many names the file has, or more: those of a shared one are in all containers."""
        if stat.S_ISDIR(found.st_mode):
            return 1
        alone = self.fakedb is not None and is_shared(found.st_mode) and not record.has & LINKS
        return 1 if alone else found.st_nlink

    def _owner(self, found: os.stat_result) -> tuple[int, int]:
        """What is the user's own is the pretended root's."""
        uid, gid = self.caller
        return (
            0 if found.st_uid == uid else found.st_uid,
            0 if found.st_gid == gid else found.st_gid,
        )


def folded(members: Iterable[Member]) -> Iterator[Member]:
    """Makes hard links of the further names of files."""
    seen: dict[tuple[int, int], str] = {}
    for member in members:
        first = seen.setdefault(member.inode, member.name) if member.links > 1 else member.name
        yield member if first == member.name else Member(member.name, Kind.HARDLINK, link=first)


class _Opener:
    """Opens a member's content, without following a link that took its place."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name

    def __call__(self) -> BinaryIO:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(self.name, flags, dir_fd=self.fd)
        return io.FileIO(fd)


def _user_xattrs(fd: int, name: str, found: os.stat_result) -> list[tuple[str, bytes]]:
    """user.* attributes are real ones, and only files and directories can have them."""
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        return []
    path = f"/proc/self/fd/{fd}/{name}"
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
        return [
            (key, os.getxattr(path, key, follow_symlinks=False))
            for key in names
            if key.startswith("user.")
        ]
    except OSError:
        return []
