"""Locks between processes, by flock(2): the kernel drops them when their holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def exclusive(path: str) -> Iterator[None]:
    """Holds the lock file `path` alone, waiting for its turn."""
    with _held(path, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def shared(path: str) -> Iterator[None]:
    """Holds the lock file `path` together with others that share it."""
    with _held(path, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def exclusive_if_free(path: str) -> Iterator[bool]:
    """Yields whether the lock was free, and is now held alone. Does not wait."""
    try:
        with _held(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield True
    except BlockingIOError:
        yield False


@contextlib.contextmanager
def _held(path: str, how: int) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)
