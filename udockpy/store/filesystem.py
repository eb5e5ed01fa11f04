"""What the filesystem of the state directory can do: found out by doing it, in a directory that is
thrown away.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Callable, NamedTuple

from udockpy.errors import reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FICLONE = 0x40049409  # linux/fs.h
# Filesystems that several nodes may write at once, by their names in mountinfo.
NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4"}
    | {"ocfs2", "orangefs", "panfs", "smb3", "virtiofs", "wekafs"}
    | {"fuse.beegfs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs"}
)


class Feature(NamedTuple):
    """Something a filesystem may lack, and what is lost with it."""

    title: str
    lost: str
    needed: bool = False  # nothing works without


# Those that can hold the upper directory of an overlay.
UPPER = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs"})
FEATURES = {
    "writable": Feature("writing", "nothing can be kept here: set UDOCKPY_HOME", needed=True),
    "exec": Feature(
        "programs", "it is mounted noexec: images and containers here cannot run", needed=True
    ),
    "shared_maps": Feature(
        "shared memory maps", "what a pretended root changes is not remembered", needed=True
    ),
    "locks": Feature("locks", "two commands at once can disturb each other", needed=True),
    "xattrs": Feature("extended attributes", "guests cannot set user.* attributes"),
    "hard_links": Feature(
        "hard links",
        "a new container is a full copy; images with hard links cannot be unpacked, dpkg fails",
    ),
    "reflinks": Feature(
        "reflinks", "a large file is copied whole when a container first changes it"
    ),
    "unnamed_files": Feature("O_TMPFILE", "guests' programs fall back to named temporary files"),
    "birth_times": Feature(
        "birth times", "a remembered owner is told apart from a reused inode's less reliably"
    ),
}


class Filesystem(NamedTuple):
    """The filesystem under a directory."""

    path: str  # what was tried: the directory, or the nearest one above it that exists
    kind: str
    free: int  # bytes, for this user
    free_files: int  # -1 = it does not say
    features: Mapping[str, bool]
    problem: str = ""  # why nothing could be tried

    @property
    def network(self) -> bool:
        return self.kind in NETWORK


def examine(path: str, kind: str) -> Filesystem:
    """Tries what udockpy and its guests do."""
    here = nearest(path)
    found = os.statvfs(here)
    files = found.f_favail if found.f_files else -1
    exec_ = not found.f_flag & os.ST_NOEXEC
    scratch = os.path.join(here, f".doctor-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        os.mkdir(scratch, 0o700)
    except OSError as e:
        features = {"writable": False, "exec": exec_}
        return Filesystem(
            here, kind, found.f_bavail * found.f_frsize, files, features, reason_of(e)
        )
    try:
        features = {
            "writable": True,
            "exec": exec_,
            **{name: _works(trial, scratch) for name, trial in TRIALS.items()},
        }
    finally:
        for name in os.listdir(scratch):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(scratch, name))
        os.rmdir(scratch)
    return Filesystem(here, kind, found.f_bavail * found.f_frsize, files, features)


def holds_upper(path: str) -> bool:
    """Whether the upper directory of an overlay can be here, as far as is known."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.split(" ")
            if fields[2] == number:
                return fields[fields.index("-") + 1] in UPPER
    return False


def nearest(path: str) -> str:
    """The directory, or the nearest above that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _works(trial: Callable[[str], None], scratch: str) -> bool:
    try:
        trial(scratch)
    except OSError:
        return False
    return True


def _file(scratch: str, name: str) -> int:
    fd = os.open(os.path.join(scratch, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.write(fd, bytes(4096))
    return fd


def _shared_maps(scratch: str) -> None:
    """What one process writes through a map, another must see in its own and in the file."""
    import mmap

    first, second = _file(scratch, "map"), _file(scratch, "map")
    try:
        with mmap.mmap(first, 4096) as here, mmap.mmap(second, 4096) as there:
            here[0] = 1
            if there[0] != 1 or os.pread(second, 1, 0) != b"\1":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
    finally:
        os.close(first)
        os.close(second)


def _locks(scratch: str) -> None:
    import fcntl

    fd = _file(scratch, "lock")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(fd)


def _xattrs(scratch: str) -> None:
    fd = _file(scratch, "xattr")
    try:
        os.setxattr(fd, "user.udockpy", b"x")
        os.getxattr(fd, "user.udockpy")
    finally:
        os.close(fd)


def _hard_links(scratch: str) -> None:
    os.close(_file(scratch, "linked"))
    os.link(os.path.join(scratch, "linked"), os.path.join(scratch, "link"))


def _reflinks(scratch: str) -> None:
    import fcntl

    source, target = _file(scratch, "source"), _file(scratch, "target")
    try:
        fcntl.ioctl(target, FICLONE, source)
    finally:
        os.close(source)
        os.close(target)


def _unnamed_files(scratch: str) -> None:
    os.close(os.open(scratch, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _birth_times(scratch: str) -> None:
    from udockpy.util.statx import STATX_BTIME, statx

    fd = os.open(scratch, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not statx("", dir_fd=fd).mask & STATX_BTIME:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    finally:
        os.close(fd)


TRIALS: dict[str, Callable[[str], None]] = {
    "shared_maps": _shared_maps,
    "locks": _locks,
    "xattrs": _xattrs,
    "hard_links": _hard_links,
    "reflinks": _reflinks,
    "unnamed_files": _unnamed_files,
    "birth_times": _birth_times,
}
