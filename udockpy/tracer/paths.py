"""From a path of a tracee to one that leads it to the same object on the host."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import NamedTuple

from udockpy.tracer.core import (
    AT_FDCWD,
    WANT_CREATE,
    WANT_FOLLOW,
    WANT_STRING,
    PathArgument,
    Resolved,
)
from udockpy.tracer.openat2 import open_without_links
from udockpy.tracer.tracee import Tracee

TRIES = 16


class Place(NamedTuple):
    """Where a guest's path leads on the host."""

    path: bytes  # for the tracee, while the call lasts
    host_path: bytes
    read_only: bool  # it lies on a read-only mount
    is_new: bool = False  # it is a name to be made by a call that follows links


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def link_to(fd: int) -> bytes:
    """A path by which a tracee finds what is open in this process, whatever became of its name."""
    return b"/proc/%d/fd/%d" % (os.getpid(), fd)


def find_argument(tracee: Tracee, argument: PathArgument, want: int) -> Place:
    """Where a path argument of the call leads. Raises OSError as the kernel would."""
    path = tracee.string(tracee.argument(argument.path))
    return find(tracee, dirfd_of(tracee, argument), path, want)


def dirfd_of(tracee: Tracee, argument: PathArgument) -> int:
    return AT_FDCWD if argument.dirfd < 0 else tracee.int_argument(argument.dirfd)


def find(tracee: Tracee, dirfd: int, path: bytes, want: int) -> Place:
    """Where a path of the tracee leads that is relative to a descriptor of the tracee."""
    process = tracee.process
    seen = len(tracee.paths)
    tracee.paths.append((path, b""))
    with base(tracee, dirfd, path) as ours:
        for _ in range(TRIES):
            found = process.container.view.resolve(process.here(), ours, path, want)
            tracee.paths[seen] = (path, found.host_path)
            try:
                return _hold(tracee, found, want)
            except OSError as e:
                if e.errno != errno.ELOOP:
                    raise  # else a link was put in the way since
    raise error(errno.ELOOP)


@contextlib.contextmanager
def base(tracee: Tracee, dirfd: int, path: bytes) -> Iterator[int]:
    """What a path of the tracee is relative to: its working directory, which this process enters,
    or a descriptor of this process. That is closed on exec where the tracee's is, for then a script
    finds its directory no more: execveat(2).
    """
    if path.startswith(b"/"):
        yield AT_FDCWD
        return
    if dirfd == AT_FDCWD:
        enter_directory(tracee)
        yield AT_FDCWD
        return
    try:
        fd = os.open(f"/proc/{tracee.tid}/fd/{dirfd}", os.O_PATH)
        os.set_inheritable(fd, not _closes_on_exec(tracee, dirfd))
    except FileNotFoundError:
        raise error(errno.EBADF) from None
    try:
        yield fd
    finally:
        os.close(fd)


def enter_directory(tracee: Tracee) -> None:
    """The working directory of the tracee becomes ours; where it cannot, one of no guest's."""
    try:
        os.chdir(f"/proc/{tracee.tid}/cwd")
    except OSError:
        os.chdir("/")
        raise


def _closes_on_exec(tracee: Tracee, fd: int) -> bool:
    with open(f"/proc/{tracee.tid}/fdinfo/{fd}") as file:
        flags = next(line.split()[1] for line in file if line.startswith("flags:"))
    return bool(int(flags, 8) & os.O_CLOEXEC)


def _hold(tracee: Tracee, found: Resolved, want: int) -> Place:
    """Leads the tracee through a descriptor that this process holds until the call has ended, so
    that whoever puts a link in the way meanwhile does not lead it elsewhere.
    """
    if found.magic or want & WANT_STRING:
        return Place(found.name, found.host_path, found.read_only)
    if want & WANT_FOLLOW:
        try:
            held = tracee.hold(open_without_links(found.fd, found.name))
            return Place(link_to(held), found.host_path, found.read_only)
        except FileNotFoundError:
            if not want & WANT_CREATE:
                raise
    bare = found.name.rstrip(b"/") or found.name
    folder, slash, _ = bare.rpartition(b"/")
    parent = folder + slash
    held = tracee.hold(open_without_links(found.fd, parent or b"."))
    path = link_to(held) + b"/" + found.name[len(parent) :]
    return Place(path, found.host_path, found.read_only, is_new=bool(want & WANT_FOLLOW))
