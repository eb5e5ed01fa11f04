"""openat2(2), which Python has no function for."""

from __future__ import annotations

import ctypes
import functools
import os

NR_OPENAT2 = 437  # on every architecture
RESOLVE_NO_SYMLINKS = 0x04


class _How(ctypes.Structure):
    """struct open_how."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


@functools.cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def open_without_links(fd: int, name: bytes) -> int:
    """Opens (fd, name) as O_PATH; OSError(ELOOP) when a symlink is on the way or at the end."""
    how = _How(os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    found: int = _c_library().syscall(NR_OPENAT2, fd, name, ctypes.byref(how), size)
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found
