"""What becomes of a call at its entry: its paths are made the host's, or it is answered here.

The table (engines/core/syscalls.def) says which arguments are paths and how links are followed. The
calls that need more stand in HANDLERS; those that need nothing here, though the native engines look
at them, in UNTOUCHED. Any other call of the table is refused, and never made on the host's files.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import signal
import struct
from typing import Callable

from udockpy.tracer import core, paths, program
from udockpy.tracer.core import AT_FDCWD, PathArgument, Row
from udockpy.tracer.paths import error
from udockpy.tracer.tracee import MACHINE, NR_OPEN, POINTER, Tracee

AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = 0x100, 0x400, 0x1000
IN_DONT_FOLLOW = 0x2000000
W_OK = 2
AF_UNIX = 1
SUN_PATH = 2  # where a path begins in struct sockaddr_un
SUN_PATH_MAX = 108

CLONE_UNTRACED = 0x800000
CLONE_NEWTIME = 0x80  # of unshare(2); clone(2) has its exit signal there
NAMESPACES = 0x7E020000  # the other CLONE_NEW*
PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_SECCOMP = 3, 4, 22
SECCOMP_SET_MODE_STRICT, SECCOMP_SET_MODE_FILTER, SECCOMP_MODE_FILTER = 0, 1, 2

# Calls whose row does not say that they make a name, or change the object.
MAKES = frozenset({"mkdir", "mkdirat", "mknod", "mknodat", "symlink", "symlinkat"})
LINKS = frozenset({"link", "linkat"})
WRITES = frozenset(
    {
        *("truncate", "utime", "utimes", "futimesat", "utimensat", "file_setattr"),
        *("chmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchownat"),
        *("setxattr", "lsetxattr", "removexattr", "lremovexattr"),
    }
)
ACCESS = frozenset({"access", "faccessat", "faccessat2"})
# No path here means the descriptor itself.
PATH_MAY_BE_NULL = frozenset({"futimesat", "utimensat", "fanotify_mark"})


Handler = Callable[[Tracee, Row], None]


def enter(tracee: Tracee) -> None:
    """Handles the entry of a call. Raises NoRoom."""
    if not 0 <= tracee.number <= core.last_number():
        tracee.answer(-errno.ENOSYS)
        return
    row = core.row(tracee.number)
    if row is None or not _concerned(tracee, row):
        return
    try:
        _handler(row)(tracee, row)
    except OSError as e:
        tracee.answer(-(e.errno or errno.EIO))


def _concerned(tracee: Tracee, row: Row) -> bool:
    """Whether the row speaks of this call, where there is no loader's memory, no hidden descriptor
    and no signal to protect.
    """
    if not row.groups & (core.PATH | core.GUARD):
        return False
    if row.when in (core.WHEN_HIDDEN, core.WHEN_ADDRESS, core.WHEN_IOCTL):
        return False
    return row.when != core.WHEN_NONNULL or tracee.argument(row.when_argument) != 0


def _handler(row: Row) -> Handler:
    if row.when == core.WHEN_REFUSE:
        return _refuse
    return HANDLERS.get(row.name, _paths if row.paths else _no_such_call)


def _refuse(tracee: Tracee, row: Row) -> None:
    raise error(row.when_argument)


def _no_such_call(tracee: Tracee, row: Row) -> None:
    raise error(errno.ENOSYS)


# --- paths ---


def _paths(tracee: Tracee, row: Row) -> None:
    """Every path of the call becomes a host path."""
    for position, argument in enumerate(row.paths):
        address = tracee.argument(argument.path)
        if not address and row.name in PATH_MAY_BE_NULL:
            continue
        if _may_be_empty(tracee, argument) and (not address or tracee.read(address, 1) == b"\0"):
            continue
        place = paths.find_argument(tracee, argument, _want(tracee, row, position))
        if row.name in ACCESS and place.read_only and tracee.argument(argument.path + 1) & W_OK:
            raise error(errno.EROFS)
        if place.is_new:  # not through a link that came since
            flags = tracee.argument(argument.flag) | os.O_NOFOLLOW
            tracee.set_argument(argument.flag, flags)
        tracee.set_argument(argument.path, tracee.push(place.path + b"\0"))


def _may_be_empty(tracee: Tracee, argument: PathArgument) -> bool:
    has_flag = argument.rule in (core.RULE_NOFOLLOW_IF, core.RULE_FOLLOW_IF)
    return has_flag and bool(tracee.argument(argument.flag) & AT_EMPTY_PATH)


def _want(tracee: Tracee, row: Row, position: int) -> int:
    """What the core is to make of the call's final component: its `enum want`."""
    argument = row.paths[position]
    flags = tracee.argument(argument.flag)
    write = core.WANT_WRITE if row.name in WRITES else 0
    if argument.rule == core.RULE_PARENT:
        makes = row.name in MAKES or (row.name in LINKS and position == 1)
        return core.WANT_PARENT | core.WANT_WRITE | (core.WANT_CREATE if makes else 0)
    if argument.rule == core.RULE_OPEN:
        return _want_of_open(flags)
    if row.name == "inotify_add_watch":
        follow = not tracee.argument(2) & IN_DONT_FOLLOW
    elif argument.rule == core.RULE_NOFOLLOW_IF:
        follow = not flags & AT_SYMLINK_NOFOLLOW
    elif argument.rule == core.RULE_FOLLOW_IF:
        follow = bool(flags & AT_SYMLINK_FOLLOW)
    else:
        follow = argument.rule == core.RULE_FOLLOW
    return write | (core.WANT_FOLLOW if follow else 0)


def _want_of_open(flags: int) -> int:
    if flags & os.O_PATH:
        return 0 if flags & os.O_NOFOLLOW else core.WANT_FOLLOW
    want = 0
    exclusive = os.O_CREAT | os.O_EXCL
    if not flags & os.O_NOFOLLOW and flags & exclusive != exclusive:
        want |= core.WANT_FOLLOW
    if flags & os.O_CREAT and flags & os.O_TMPFILE != os.O_TMPFILE:
        want |= core.WANT_CREATE
    if flags & (os.O_ACCMODE | os.O_TRUNC):
        want |= core.WANT_WRITE
    return want


def _creat(tracee: Tracee, row: Row) -> None:
    """Becomes open(2), which has flags."""
    tracee.set_number(NR_OPEN)
    tracee.set_argument(2, tracee.argument(1))
    tracee.set_argument(1, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    opening = core.row(NR_OPEN)
    assert opening
    _paths(tracee, opening)


def _getcwd(tracee: Tracee, row: Row) -> None:
    link = f"/proc/{tracee.tid}/cwd"
    host = os.fsencode(os.readlink(link))
    if not os.stat(link).st_nlink:
        raise error(errno.ENOENT)  # it was removed
    try:
        guest = tracee.process.container.view.unresolve(host)
    except OSError:
        guest = b"(unreachable)" + host
    tracee.paths.append((guest, host))
    if len(guest) >= tracee.argument(1):
        raise error(errno.ERANGE)
    tracee.write(tracee.argument(0), guest + b"\0")
    tracee.answer(len(guest) + 1)


def _readlink(tracee: Tracee, row: Row) -> None:
    argument = row.paths[0]
    if argument.dirfd >= 0 and tracee.read(tracee.argument(argument.path), 1) == b"\0":
        return  # a descriptor of the link itself
    process, size = tracee.process, tracee.int_argument(argument.path + 2)
    place = paths.find_argument(tracee, argument, 0)
    container = process.container
    text = container.view.proc_link(process.pid, container.exes, place.host_path)
    if text is None or size <= 0:
        tracee.set_argument(argument.path, tracee.push(place.path + b"\0"))
        return
    tracee.write(tracee.argument(argument.path + 1), text[:size])
    tracee.answer(len(text[:size]))


# --- programs and processes ---


def _execve(tracee: Tracee, row: Row) -> None:
    argument = row.paths[0]
    dirfd = paths.dirfd_of(tracee, argument)
    flags = tracee.int_argument(argument.flag) if row.name == "execveat" else 0
    if flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW):
        raise error(errno.EINVAL)
    path = tracee.string(tracee.argument(argument.path))
    tracee.paths = [(path, b"")]
    with contextlib.suppress(OSError):
        paths.enter_directory(tracee)  # interpreters of scripts are relative to it
    with paths.base(tracee, dirfd, path) as ours:
        planned = tracee.process.container.view.program(tracee.process.here(), ours, path, flags)
    planned = planned.named(ours, dirfd)
    starts = tracee.hold(planned.exe_fd)
    if planned.interpreter_fd >= 0:
        starts = tracee.hold(planned.interpreter_fd)
    if planned.machine != MACHINE:
        raise error(errno.EPERM)  # shells take ENOEXEC for a script
    tracee.paths = [(path, os.fsencode(os.readlink(f"/proc/self/fd/{planned.exe_fd}")))]
    if planned.prefix:
        words = [tracee.push(word + b"\0") for word in planned.prefix]
        words += tracee.words(tracee.argument(argument.path + 1))[1:]
        array = tracee.push(struct.pack(f"<{len(words) + 1}Q", *words, 0))
        tracee.set_argument(argument.path + 1, array)
    tracee.set_argument(argument.path, tracee.push(paths.link_to(starts) + b"\0"))
    if row.name == "execveat":
        tracee.set_argument(argument.dirfd, AT_FDCWD)
        tracee.set_argument(argument.flag, 0)
    tracee.finish.append(lambda: _executed(tracee, planned))


def _executed(tracee: Tracee, planned: core.Program) -> None:
    if tracee.result:
        return
    tracee.started()
    tracee.process.started(planned.guest_path)
    try:
        program.load(tracee, planned)
    except OSError:
        os.kill(tracee.tid, signal.SIGKILL)  # as the kernel where there is no way back


def _clone(tracee: Tracee, row: Row) -> None:
    if tracee.argument(0) & (NAMESPACES | CLONE_UNTRACED):
        raise error(errno.EPERM)


def _unshare(tracee: Tracee, row: Row) -> None:
    if tracee.argument(0) & (NAMESPACES | CLONE_NEWTIME):
        raise error(errno.EPERM)


def _chroot(tracee: Tracee, row: Row) -> None:
    _paths(tracee, row)
    raise error(errno.EPERM)


def _ptrace(tracee: Tracee, row: Row) -> None:
    raise error(errno.EPERM)


def _prctl(tracee: Tracee, row: Row) -> None:
    """Remembers here what would keep the tracer from the memory of its tracee."""
    option, value = tracee.argument(0), tracee.argument(1)
    if option == PR_GET_DUMPABLE:
        tracee.answer(tracee.process.dumpable)
    elif option == PR_SET_DUMPABLE and value in (0, 1):
        tracee.process.dumpable = value
        tracee.answer(0)
    elif option == PR_SET_SECCOMP:
        _set_seccomp(tracee, is_filter=value == SECCOMP_MODE_FILTER, program_at=tracee.argument(2))


def _seccomp(tracee: Tracee, row: Row) -> None:
    if tracee.argument(0) in (SECCOMP_SET_MODE_STRICT, SECCOMP_SET_MODE_FILTER):
        is_filter = tracee.argument(0) == SECCOMP_SET_MODE_FILTER
        _set_seccomp(tracee, is_filter=is_filter, program_at=tracee.argument(2))


def _set_seccomp(tracee: Tracee, *, is_filter: bool, program_at: int) -> None:
    """A guest's filter would judge the calls that the tracer has it make: none is installed."""
    if is_filter:
        tracee.read(program_at, 2 * POINTER)  # struct sock_fprog: who asks for it with NULL probes
    tracee.answer(0)


def _as_it_is(tracee: Tracee, row: Row) -> None:
    """What the native engines protect themselves from is nothing to a tracer."""


# --- addresses of AF_UNIX sockets ---


def _address(tracee: Tracee, address: int, size: int, want: int) -> bytes | None:
    """An address with a path of the host's; None for one that has no path."""
    if not address or not SUN_PATH < size <= SUN_PATH + SUN_PATH_MAX:
        return None
    raw = tracee.read(address, size)
    if int.from_bytes(raw[:SUN_PATH], "little") != AF_UNIX or not raw[SUN_PATH]:
        return None
    path = raw[SUN_PATH:].partition(b"\0")[0]
    host = paths.find(tracee, AT_FDCWD, path, want).path
    if len(host) >= SUN_PATH_MAX:
        raise error(errno.ENAMETOOLONG)
    return raw[:SUN_PATH] + host + b"\0"


def _address_argument(position: int, want: int) -> Handler:
    def handle(tracee: Tracee, row: Row) -> None:
        size = tracee.int_argument(position + 1)
        found = _address(tracee, tracee.argument(position), size, want)
        if found is not None:
            tracee.set_argument(position, tracee.push(found))
            tracee.set_argument(position + 1, len(found))

    return handle


MSGHDR = struct.Struct("<QI4xQQQQi4x")  # name, its size, iovec, count, control, its size, flags
MMSGHDR_SIZE = MSGHDR.size + POINTER  # a msghdr, and how much of it was transferred
UIO_MAXIOV = 1024


def _headers(tracee: Tracee, row: Row) -> list[int]:
    """Where the messages of a call are."""
    count = min(tracee.argument(2), UIO_MAXIOV) if row.name.endswith("mmsg") else 1
    return [tracee.argument(1) + index * MMSGHDR_SIZE for index in range(count)]


def _sendmsg(tracee: Tracee, row: Row) -> None:
    """The headers are changed where they are, for the kernel writes beside them what was sent; but
    not before there is room for all, as the call is looked at anew when there is none.
    """
    changes = []
    for at in _headers(tracee, row):
        head = tracee.read(at, MSGHDR.size)
        name, size, *rest = MSGHDR.unpack(head)
        found = _address(tracee, name, size, core.WANT_FOLLOW)
        if found is not None:
            changes.append((at, head, MSGHDR.pack(tracee.push(found), len(found), *rest)))
    for at, head, changed in changes:
        tracee.write(at, changed)
        tracee.finish.append(functools.partial(tracee.write, at, head))


def _recvmsg(tracee: Tracee, row: Row) -> None:
    for at in _headers(tracee, row):
        name, room, *_ = MSGHDR.unpack(tracee.read(at, MSGHDR.size))
        if name:
            size_at = at + POINTER
            tracee.finish.append(functools.partial(_guest_address, tracee, name, size_at, room))


def _address_result(position: int) -> Handler:
    """An address that the kernel writes, and in the next argument where its size stands."""

    def handle(tracee: Tracee, row: Row) -> None:
        address, size_at = tracee.argument(position), tracee.argument(position + 1)
        if address and size_at:
            room = _read_size(tracee, size_at)
            tracee.finish.append(lambda: _guest_address(tracee, address, size_at, room))

    return handle


def _read_size(tracee: Tracee, address: int) -> int:
    return int.from_bytes(tracee.read(address, 4), "little")


def _guest_address(tracee: Tracee, address: int, size_at: int, room: int) -> None:
    if tracee.result < 0:
        return
    raw = tracee.read(address, min(_read_size(tracee, size_at), room))
    if int.from_bytes(raw[:SUN_PATH], "little") != AF_UNIX or raw[SUN_PATH : SUN_PATH + 1] != b"/":
        return
    try:
        guest = tracee.process.container.view.unresolve(raw[SUN_PATH:].partition(b"\0")[0])
    except OSError:
        return
    tracee.write(address, (raw[:SUN_PATH] + guest + b"\0")[:room])
    tracee.write(size_at, struct.pack("<I", SUN_PATH + len(guest) + 1))


# As a string, for others are told the address of a socket as it was bound.
BIND = core.WANT_PARENT | core.WANT_CREATE | core.WANT_WRITE | core.WANT_STRING
UNTOUCHED = ("vfork", "getdents64", "fchdir", "dup2", "dup3", "close_range")
HANDLERS: dict[str, Handler] = {
    "openat2": _no_such_call,  # in a host path are no links that its restrictions could be about
    "creat": _creat,
    "getcwd": _getcwd,
    "readlink": _readlink,
    "readlinkat": _readlink,
    "chroot": _chroot,
    "ptrace": _ptrace,
    "execve": _execve,
    "execveat": _execve,
    "clone": _clone,
    "unshare": _unshare,
    "prctl": _prctl,
    "seccomp": _seccomp,
    "bind": _address_argument(1, BIND),
    "connect": _address_argument(1, core.WANT_FOLLOW),
    "sendto": _address_argument(4, core.WANT_FOLLOW),
    **dict.fromkeys(("sendmsg", "sendmmsg"), _sendmsg),
    **dict.fromkeys(("recvmsg", "recvmmsg"), _recvmsg),
    **dict.fromkeys(("getsockname", "getpeername", "accept", "accept4"), _address_result(1)),
    "recvfrom": _address_result(4),
    **dict.fromkeys(UNTOUCHED, _as_it_is),
}
