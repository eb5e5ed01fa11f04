"""Who has a writable tree open: one node at a time.

Processes of one node share a fakedb and a directory cache through their memory, so any number of
them may run in a tree at once. Between nodes, on a shared filesystem, nothing of that holds. So the
first run locks the tree's state for its node and says there who it is; further ones of the node
share the lock; those of other nodes are refused with the holder's name. Every process of a guest
inherits the lock, and the kernel (of NFS and the like, the server) drops it with the last of them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time

from udockpy import home as homes
from udockpy.errors import BusyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Callable

NAME = "node"
# Somebody is between taking the lock and saying who it is for that long at most.
PATIENCE = 2.0
# What filesystems answer that have no locks: there nothing can be told.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def share(folder: str, name: str, first: Callable[[], None] = lambda: None) -> int:
    """Claims the tree whose state is in `folder` for this node; `name` is what its user calls it.
    `first` is called if nobody else has it, before anybody can.

    Returns a descriptor that holds the claim as long as any process has it; BusyError when another
    node, or somebody who must be alone, has the tree.
    """
    fd = os.open(os.path.join(folder, NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _share(fd, name, first)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextlib.contextmanager
def alone(folder: str, name: str) -> Iterator[None]:
    """Claims the tree for what must be alone with it; BusyError when something runs there."""
    fd = os.open(os.path.join(folder, NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _lock(fd, fcntl.LOCK_EX):
            raise _busy(name, _holder(fd))
        _sign(fd)
        yield
    finally:
        os.close(fd)


def refuse_elsewhere(folder: str, name: str) -> None:
    """BusyError when another node has the tree."""
    try:
        fd = os.open(os.path.join(folder, NAME), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        holder = _holder(fd)
        if not _lock(fd, fcntl.LOCK_EX) and holder[0] != homes.boot_id():
            raise _busy(name, holder)
    finally:
        os.close(fd)


def _share(fd: int, name: str, first: Callable[[], None]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        if _lock(fd, fcntl.LOCK_EX):
            _sign(fd)
            first()
        # Between the two somebody else may have been faster: who signed last decides.
        shared = _lock(fd, fcntl.LOCK_SH)
        boot, _, _ = holder = _holder(fd)
        if shared and boot == homes.boot_id():
            return
        if boot not in ("", homes.boot_id()) or time.monotonic() > deadline:
            raise _busy(name, holder)
        time.sleep(0.01)


def _lock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as e:
        if e.errno not in NO_LOCKS:
            raise
    return True


def _sign(fd: int) -> None:
    """The kernel's boot, not the node's name: that may be another in a container."""
    text = f"{homes.boot_id()} {os.getpid()} {os.uname().nodename}".encode()
    os.pwrite(fd, text, 0)
    os.ftruncate(fd, len(text))


def _holder(fd: int) -> tuple[str, str, str]:
    """Boot, process and node of who signed last."""
    boot, pid, node = (os.pread(fd, 1024, 0).decode(errors="replace").split(" ", 2) + [""] * 3)[:3]
    return boot, pid, node


def _busy(name: str, holder: tuple[str, str, str]) -> BusyError:
    _, pid, node = holder
    return BusyError(
        "cannot open",
        name,
        f"in use on {node or 'an unknown node'}, first by process {pid or 'unknown'}",
        hint="end what runs there; any number of nodes can run it with --read-only, or as yourself",
    )
