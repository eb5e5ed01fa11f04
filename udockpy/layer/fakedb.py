"""What files pretend to be (owner, mode, device, extended attributes): the core's fakedb, through
ctypes.

The engines write it while guests run; here it is filled when a tree is unpacked and read when it is
exported. engines/core/fakedb.h is the interface.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from typing import NamedTuple

from udockpy import native
from udockpy.errors import StateError
from udockpy.util.statx import Statx, statx

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OWNER, MODE, NODE, XATTR, LINKS = 1, 2, 4, 8, 16  # enum fakedb_has
ENTRIES_OFFSET = 56  # of the field in the header: docs/reference/fakedb.md


class Record(NamedTuple):
    """What one file pretends. `has` says which fields count."""

    has: int
    uid: int = 0
    gid: int = 0
    mode: int = 0
    rdev: tuple[int, int] = (0, 0)


class _Database(ctypes.Structure):
    _fields_ = (
        ("map", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("read_only", ctypes.c_bool),
        ("error", ctypes.c_int),
        ("dev_major", ctypes.c_uint32),
        ("dev_minor", ctypes.c_uint32),
    )


class Usage(ctypes.Structure):
    """How much of its room a database has used: struct fakedb_usage."""

    _fields_ = (
        ("entries", ctypes.c_uint64),
        ("entries_used", ctypes.c_uint64),
        ("heap", ctypes.c_uint64),
        ("heap_used", ctypes.c_uint64),
    )


class Key(ctypes.Structure):
    """How a file is known: struct fakedb_key."""

    _fields_ = (
        ("ino", ctypes.c_uint64),
        ("dev_major", ctypes.c_uint32),
        ("dev_minor", ctypes.c_uint32),
        ("btime_ns", ctypes.c_uint64),
    )


class _Record(ctypes.Structure):
    _fields_ = (
        ("has", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("gid", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("rdev_major", ctypes.c_uint32),
        ("rdev_minor", ctypes.c_uint32),
    )


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(native.library("libudockpy-core.so"))
    library.fakedb_get.restype = ctypes.c_bool
    library.fakedb_maybe.restype = ctypes.c_bool
    library.fakedb_maybe.argtypes = (ctypes.c_void_p, ctypes.c_uint64)
    library.fakedb_next.restype = ctypes.c_bool
    library.fakedb_salvage.restype = ctypes.c_long
    library.fakedb_usage.restype = None
    library.fakedb_verify.restype = ctypes.c_long
    library.fakedb_getxattr.restype = ctypes.c_long
    library.fakedb_getxattr.argtypes = (
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_void_p,
        ctypes.c_size_t,
    )
    library.fakedb_setxattr.argtypes = (*library.fakedb_getxattr.argtypes, ctypes.c_int)
    library.fakedb_inherit.argtypes = (ctypes.c_void_p,) * 4
    library.fakedb_unguard.argtypes = (ctypes.c_void_p,)
    library.fakedb_removexattr.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
    library.fakedb_listxattr.restype = ctypes.c_long
    library.fakedb_listxattr.argtypes = (
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_size_t,
    )
    return library


class Fakedb:
    """One open database. Use as a context manager."""

    def __init__(self, path: str, *, create: bool = False, read_only: bool = False) -> None:
        self.path = path
        self._database = _Database()
        self._at = ctypes.addressof(self._database)
        self._check(
            _library().fakedb_open(
                ctypes.byref(self._database),
                os.fsencode(path),
                ctypes.c_bool(create),
                ctypes.c_bool(read_only),
            )
        )

    def __enter__(self) -> Fakedb:
        return self

    def __exit__(self, *_: object) -> None:
        _library().fakedb_close(ctypes.byref(self._database))

    def maybe(self, ino: int) -> bool:
        """Whether any file of this inode number may be known: cheaper than a key."""
        return bool(_library().fakedb_maybe(self._at, ino))

    def get(self, key: Key) -> Record | None:
        record = _Record()
        if not _library().fakedb_get(
            ctypes.byref(self._database), ctypes.byref(key), ctypes.byref(record)
        ):
            return None
        return _told(record)

    def update(self, key: Key, record: Record) -> None:
        raw = _Record(record.has, record.uid, record.gid, record.mode, *record.rdev)
        self._check(
            _library().fakedb_update(
                ctypes.byref(self._database), ctypes.byref(key), ctypes.byref(raw)
            )
        )

    def xattrs(self, key: Key) -> dict[str, bytes]:
        """The remembered extended attributes."""
        size = self._check(_library().fakedb_listxattr(self._at, ctypes.addressof(key), None, 0))
        if not size:
            return {}
        names = ctypes.create_string_buffer(size)
        size = self._check(
            _library().fakedb_listxattr(self._at, ctypes.addressof(key), names, size)
        )
        found = names.raw[:size].split(b"\0")
        return {os.fsdecode(name): self._getxattr(key, name) for name in found if name}

    def setxattr(self, key: Key, name: str, value: bytes) -> None:
        self._check(
            _library().fakedb_setxattr(
                self._at, ctypes.addressof(key), os.fsencode(name), value, len(value), 0
            )
        )

    def removexattr(self, key: Key, name: str) -> None:
        """Forgets an attribute that is there."""
        self._check(
            _library().fakedb_removexattr(self._at, ctypes.addressof(key), os.fsencode(name))
        )

    def records(self) -> Iterator[tuple[Key, Record]]:
        """Everything that is known, in the order of the last changes."""
        cursor, key, record = ctypes.c_uint64(), Key(), _Record()
        while _library().fakedb_next(
            ctypes.byref(self._database),
            ctypes.byref(cursor),
            ctypes.byref(key),
            ctypes.byref(record),
        ):
            yield Key.from_buffer_copy(key), _told(record)

    def remember(self, key: Key, record: Record, xattrs: Mapping[str, bytes]) -> None:
        """Records all of a file."""
        if record.has:
            self.update(key, record)
        for name, value in xattrs.items():
            self.setxattr(key, name, value)

    def salvage_into(self, fresh: Fakedb) -> int:
        """Copies what is sound to a new database; returns the count of files."""
        return self._check(
            _library().fakedb_salvage(ctypes.byref(self._database), ctypes.byref(fresh._database))
        )

    def usage(self) -> Usage:
        usage = Usage()
        _library().fakedb_usage(ctypes.byref(self._database), ctypes.byref(usage))
        return usage

    def inherit(self, target: Key, source: Key, of: Fakedb | None = None) -> None:
        """Makes a copy of a file pretend what the file does, in this database or another."""
        self._check(
            _library().fakedb_inherit(
                self._at,
                ctypes.addressof(target),
                (of or self)._at,
                ctypes.addressof(source),
            )
        )

    def unguard(self) -> None:
        """Knows files by inode number alone, whenever they were born: see core/fakedb.h."""
        self._check(_library().fakedb_unguard(self._at))

    def verify(self) -> int:
        """The count of damaged records."""
        return self._check(_library().fakedb_verify(ctypes.byref(self._database)))

    def _getxattr(self, key: Key, name: bytes) -> bytes:
        size = self._check(
            _library().fakedb_getxattr(self._at, ctypes.addressof(key), name, None, 0)
        )
        value = ctypes.create_string_buffer(size or 1)
        size = self._check(
            _library().fakedb_getxattr(self._at, ctypes.addressof(key), name, value, size)
        )
        return value.raw[:size]

    def _check(self, result: int) -> int:
        if result < 0:
            raise StateError(
                "cannot use the fakedb",
                self.path,
                os.strerror(-result),
                hint="free some space there, or check its permissions",
            )
        return result


def _told(raw: _Record) -> Record:
    return Record(raw.has, raw.uid, raw.gid, raw.mode, (raw.rdev_major, raw.rdev_minor))


def key_of(name: str, *, dir_fd: int) -> Key:
    """The key of the file `name` itself (links are not followed)."""
    key = Key()
    found: Statx = statx(name, dir_fd=dir_fd)
    _library().fakedb_key_from_statx(ctypes.byref(key), ctypes.byref(found))
    return key


def clone(source: str, target: str) -> None:
    """Copies a database that nobody writes to, holes as holes. The slots are allocated, as in every
    database: see the format.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with (
        open(source, "rb", buffering=0) as old,
        open(os.open(target, flags, 0o600), "wb", buffering=0) as new,
    ):
        size = os.fstat(old.fileno()).st_size
        new.truncate(size)
        entries = os.pread(old.fileno(), 8, ENTRIES_OFFSET)
        os.posix_fallocate(new.fileno(), 0, int.from_bytes(entries, sys.byteorder))
        for start, end in _pieces(old.fileno(), size):
            os.lseek(new.fileno(), start, os.SEEK_SET)
            while start < end:
                start += os.sendfile(new.fileno(), old.fileno(), start, end - start)


def _pieces(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file has data."""
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as e:
            if e.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end
