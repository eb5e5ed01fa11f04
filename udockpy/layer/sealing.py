"""Carries what is remembered of a tree between its fakedb, the seals of its files, and lists of
paths.
"""

from __future__ import annotations

import os
import stat
from typing import Callable, NamedTuple

from udockpy.layer import seal
from udockpy.layer.fakedb import MODE, NODE, OWNER, Fakedb, Record, key_of
from udockpy.layer.seal import Pretence
from udockpy.util.beneath import Root
from udockpy.util.tree import DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Source(NamedTuple):
    """What is known of a tree's files by their paths."""

    of: Callable[[str], Pretence]
    devices: Callable[[], Iterable[str]]


class Count(NamedTuple):
    """Files, by where what they pretend was found, or went."""

    known: int = 0  # in the fakedb
    sealed: int = 0  # in their own attributes
    listed: int = 0  # by their path
    made: int = 0  # devices that were not there


class _File(NamedTuple):
    """A file of a tree: its name in an open directory, and its path in the tree."""

    folder: int
    name: str
    path: str
    found: os.stat_result

    @property
    def proc(self) -> str:
        """A path that leads to it through the open directory."""
        return f"/proc/self/fd/{self.folder}/{self.name}"


def write(root: str, fakedb: Fakedb) -> tuple[list[tuple[str, Pretence]], Count]:
    """Seals every file of which something is remembered. Returns all that is, by path, and how many
    files have it in the fakedb, in seals, and only by their path.
    """
    entries, sealed = [], 0
    for file in _walk(root):
        pretence = _known(fakedb, file)
        if pretence:
            pretence = pretence._replace(record=_whole(pretence.record, file.found))
            entries.append((file.path, pretence))
        done = seal.apply(file.proc, seal.seals(pretence) if pretence else {})
        sealed += bool(done and pretence)
    return entries, Count(len(entries), sealed, len(entries) - sealed)


def read(root: str, old: Fakedb | None, fresh: Fakedb, source: Source) -> Count:
    """Fills a new fakedb for a tree: with what the old one knows of its files, else with what their
    seals say, else with what the source does.
    """
    known = sealed = listed = 0
    for file in _walk(root):
        pretence = _known(old, file) if old else Pretence()
        known += bool(pretence)
        if not pretence:
            pretence = seal.unsealed(seal.attributes(file.proc))
            sealed += bool(pretence)
        if not pretence:
            pretence = source.of(file.path)
            listed += bool(pretence)
        if pretence.record.has & NODE:
            if not stat.S_ISREG(file.found.st_mode):
                continue  # a device is a plain file here: this is another one
            os.chmod(file.proc, 0)  # engines notice its being opened by that
        if pretence:
            fresh.remember(key_of(file.name, dir_fd=file.folder), *pretence)
    return Count(known, sealed, listed, _make_devices(root, fresh, source))


def _make_devices(root: str, fresh: Fakedb, source: Source) -> int:
    """Makes the devices that are not there: nobody may read one, so that no copy has them."""
    made = 0
    with Root(root) as inside:
        for path in source.devices():
            try:
                folder, name = inside.locate(path, follow=False)
            except OSError:
                continue  # nor is its directory there
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                os.close(os.open(name, flags, 0, dir_fd=folder))
                fresh.remember(key_of(name, dir_fd=folder), *source.of(path))
                made += 1
            except FileExistsError:
                pass
            finally:
                os.close(folder)
    return made


def from_list(path: str) -> Source:
    """What a list says; nothing where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            entries = seal.parse_list(file)
    except FileNotFoundError:
        entries = {}
    return Source(
        of=lambda path: entries.get(path, Pretence()),
        devices=lambda: [path for path, known in entries.items() if known.record.has & NODE],
    )


def from_tree(root: str, fakedb: Fakedb) -> Source:
    """What is remembered of the files of another tree."""

    def of(path: str) -> Pretence:
        folder, name = os.path.split(os.path.join(root, path))
        try:
            fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return Pretence()
        try:
            return _known(fakedb, _File(fd, name, path, os.lstat(name or ".", dir_fd=fd)))
        except OSError:
            return Pretence()
        finally:
            os.close(fd)

    def devices() -> Iterator[str]:
        return (file.path for file in _walk(root) if _known(fakedb, file).record.has & NODE)

    return Source(of, devices)


def _known(fakedb: Fakedb, file: _File) -> Pretence:
    if not fakedb.maybe(file.found.st_ino):
        return Pretence()
    key = key_of(file.name, dir_fd=file.folder)
    return Pretence(fakedb.get(key) or Record(0), fakedb.xattrs(key))


def _whole(record: Record, found: os.stat_result) -> Record:
    """A record that also says what was not worth remembering: an unknown owner is root."""
    mode = record.mode if record.has & NODE else stat.S_IFMT(found.st_mode)
    bits = record.mode if record.has & MODE else found.st_mode
    uid, gid = (record.uid, record.gid) if record.has & OWNER else (0, 0)
    return record._replace(
        has=record.has & NODE | OWNER | MODE,
        uid=uid,
        gid=gid,
        mode=stat.S_IFMT(mode) | stat.S_IMODE(bits),
    )


def _walk(root: str) -> Iterator[_File]:
    """Every file of a tree; no link is followed."""
    fd = os.open(root, DIRECTORY)
    try:
        yield _File(fd, ".", "", os.stat(fd))
        yield from _walk_folder(fd, "")
    finally:
        os.close(fd)


def _walk_folder(folder: int, path: str) -> Iterator[_File]:
    for name in sorted(os.listdir(folder)):
        file = _File(folder, name, os.path.join(path, name), os.lstat(name, dir_fd=folder))
        yield file
        if stat.S_ISDIR(file.found.st_mode):
            fd = os.open(name, DIRECTORY, dir_fd=folder)
            try:
                yield from _walk_folder(fd, file.path)
            finally:
                os.close(fd)
