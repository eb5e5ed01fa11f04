"""statx(2), which the standard library lacks: the birth time of a file."""

from __future__ import annotations

import ctypes
import os

AT_SYMLINK_NOFOLLOW = 0x100
AT_EMPTY_PATH = 0x1000
STATX_BASIC_STATS = 0x7FF
STATX_BTIME = 0x800


class Timestamp(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_int64), ("nsec", ctypes.c_uint32), ("_pad", ctypes.c_int32))


class Statx(ctypes.Structure):
    """struct statx of linux/stat.h."""

    _fields_ = (
        ("mask", ctypes.c_uint32),
        ("blksize", ctypes.c_uint32),
        ("attributes", ctypes.c_uint64),
        ("nlink", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("gid", ctypes.c_uint32),
        ("mode", ctypes.c_uint16),
        ("_pad", ctypes.c_uint16),
        ("ino", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("blocks", ctypes.c_uint64),
        ("attributes_mask", ctypes.c_uint64),
        ("atime", Timestamp),
        ("btime", Timestamp),
        ("ctime", Timestamp),
        ("mtime", Timestamp),
        ("rdev_major", ctypes.c_uint32),
        ("rdev_minor", ctypes.c_uint32),
        ("dev_major", ctypes.c_uint32),
        ("dev_minor", ctypes.c_uint32),
        ("_spare", ctypes.c_uint64 * 14),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def statx(name: str, *, dir_fd: int) -> Statx:
    """Stats `name` itself, not what it links to."""
    result = Statx()
    r = _libc.statx(
        dir_fd,
        os.fsencode(name),
        AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH,
        STATX_BASIC_STATS | STATX_BTIME,
        ctypes.byref(result),
    )
    if r < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno), name)
    return result
