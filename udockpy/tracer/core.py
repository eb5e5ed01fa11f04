"""The native core's C interface: the table of system calls, the view, programs.

engines/core/{syscalls,view,walk,exec}.h define what is mirrored here.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Mapping
from typing import NamedTuple

from udockpy import native

LIBRARY = "libudockpy-core.so"
AT_FDCWD = -100
PATH_MAX = 4096
VIEW_BINDS_MAX = 128

# enum syscall_group
PATH, GUARD = 1, 16
# enum syscall_when
WHEN_NONNULL, WHEN_HIDDEN, WHEN_ADDRESS, WHEN_REFUSE, WHEN_IOCTL = 1, 2, 3, 5, 6
# enum path_rule
RULE_FOLLOW, RULE_NOFOLLOW, RULE_NOFOLLOW_IF, RULE_FOLLOW_IF, RULE_PARENT, RULE_OPEN = range(1, 7)
# enum want
WANT_FOLLOW, WANT_PARENT, WANT_CREATE, WANT_WRITE, WANT_STRING, WANT_WALK = 1, 2, 4, 8, 16, 32
# enum proc_link
PROC_NONE, PROC_EXE, PROC_NS = 0, 3, 6


class _PathArgument(ctypes.Structure):
    _fields_ = (
        ("dirfd", ctypes.c_int8),
        ("path", ctypes.c_int8),
        ("rule", ctypes.c_uint8),
        ("flag", ctypes.c_int8),
    )


class _Row(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("nr", ctypes.c_uint16),
        ("groups", ctypes.c_uint8),
        ("when", ctypes.c_uint8),
        ("when_arg", ctypes.c_int16),
        ("op", ctypes.c_uint8),
        ("path", _PathArgument * 2),
    )


class _Bind(ctypes.Structure):
    _fields_ = (
        ("guest", ctypes.c_char_p),
        ("host", ctypes.c_char_p),
        ("guest_len", ctypes.c_uint16),
        ("host_len", ctypes.c_uint16),
        ("name_hash", ctypes.c_uint32),
        ("read_only", ctypes.c_bool),
        ("identity", ctypes.c_bool),
        ("is_file", ctypes.c_bool),
    )


class _View(ctypes.Structure):
    _fields_ = (
        ("root_fd", ctypes.c_int),
        ("root", ctypes.c_char_p),
        ("root_len", ctypes.c_uint16),
        ("root_read_only", ctypes.c_bool),
        ("n_binds", ctypes.c_uint),
        ("binds", _Bind * VIEW_BINDS_MAX),
        ("cache", ctypes.c_void_p),
        ("salt", ctypes.c_uint64),
        ("mount_filter", ctypes.c_uint64),
        ("any_read_only", ctypes.c_bool),
        ("identity_read_only", ctypes.c_bool),
    )


class _Where(ctypes.Structure):
    _fields_ = (
        ("fd", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("unverified", ctypes.c_bool),
        ("magic", ctypes.c_bool),
        ("read_only", ctypes.c_bool),
        ("has_canon", ctypes.c_bool),
        ("through_link", ctypes.c_bool),
        ("through_magic", ctypes.c_bool),
    )


class _Here(ctypes.Structure):
    _fields_ = (
        ("cwd", ctypes.c_char_p),
        ("cwd_hash", ctypes.c_uint64),
        ("pid", ctypes.c_int),
        ("exe", ctypes.c_char_p),
        ("may_search", ctypes.c_void_p),
        ("caller", ctypes.c_void_p),
        ("as_real", ctypes.c_bool),
    )


class _Program(ctypes.Structure):
    _fields_ = (
        ("exe_fd", ctypes.c_int),
        ("interp_fd", ctypes.c_int),
        ("exe_guest", ctypes.c_char * PATH_MAX),
        ("prefix", ctypes.c_char_p * 12),
        ("n_prefix", ctypes.c_uint),
        ("flags", ctypes.c_uint),
        ("machine", ctypes.c_int),
        ("execfn", ctypes.c_char_p),
        ("text", ctypes.c_char * (256 * 5 + PATH_MAX)),
    )


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(native.library(LIBRARY))
    library.syscall_row.restype = ctypes.POINTER(_Row)
    library.syscall_row.argtypes = (ctypes.c_long,)
    library.syscall_number_last.restype = ctypes.c_long
    for name in ("view_unresolve", "proc_target"):
        getattr(library, name).restype = ctypes.c_long
    return library


# --- the table of system calls ---


class PathArgument(NamedTuple):
    """Argument numbers: of a path, of the descriptor it is relative to (-1 = the working directory)
    and of the flags that `rule` looks at.
    """

    dirfd: int
    path: int
    rule: int
    flag: int


class Row(NamedTuple):
    """A row of the table: engines/core/syscalls.def."""

    name: str
    groups: int
    when: int
    when_argument: int  # argument number, or an errno
    paths: tuple[PathArgument, ...]


@functools.cache
def row(number: int) -> Row | None:
    """The row of a system call; None of one that needs nothing."""
    pointer = _library().syscall_row(number)
    if not pointer:
        return None
    raw = pointer.contents
    paths = tuple(
        PathArgument(item.dirfd, item.path, item.rule, item.flag) for item in raw.path if item.rule
    )
    return Row(os.fsdecode(raw.name), raw.groups, raw.when, raw.when_arg, paths)


@functools.cache
def last_number() -> int:
    """The last system call that the table was checked against."""
    return int(_library().syscall_number_last())


# --- the view ---


class Bind(NamedTuple):
    """What a guest sees at `target`."""

    source: bytes
    target: bytes
    read_only: bool


class Here(NamedTuple):
    """Whose path it is: struct here."""

    pid: int
    exe: bytes

    def raw(self) -> _Here:
        return _Here(pid=self.pid, exe=self.exe)


class Resolved(NamedTuple):
    """The object that a guest's path means, by a name relative to a descriptor of this process."""

    fd: int
    name: bytes
    host_path: bytes  # the same, to be shown
    magic: bool  # a link of /proc, which the kernel itself must follow
    read_only: bool  # it lies on a read-only mount


class Program(NamedTuple):
    """What execve(2) starts. The descriptors are the caller's to close."""

    exe_fd: int
    interpreter_fd: int  # -1 = none
    machine: int  # e_machine
    guest_path: bytes
    prefix: tuple[bytes, ...]  # what a chain of scripts puts in the place of argv[0]
    execfn: bytes

    def named(self, ours: int, theirs: int) -> Program:
        """The same, where names relative to a descriptor of ours are so to the guest's."""
        own = b"/dev/fd/%d" % ours

        def name(text: bytes) -> bytes:
            if ours == AT_FDCWD or not (text + b"/").startswith(own + b"/"):
                return text
            return b"/dev/fd/%d" % theirs + text[len(own) :]

        return self._replace(prefix=tuple(map(name, self.prefix)), execfn=name(self.execfn))


class View:
    """Guest paths to host paths and back. Raises OSError as the kernel would."""

    def __init__(self, root: bytes, *, read_only: bool, binds: tuple[Bind, ...]) -> None:
        self._view = _View()
        self._scratch = ctypes.create_string_buffer(4 * PATH_MAX)
        self._text = ctypes.create_string_buffer(PATH_MAX)
        self._root = root.rstrip(b"/")
        self._root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._borrowed: list[bytes] = []  # the core keeps pointers to these
        at = ctypes.byref(self._view)
        _check(_library().view_init(at, self._root_fd, self._root, ctypes.c_bool(read_only)))
        for bind in binds:
            source = bind.source.rstrip(b"/")
            self._borrowed += [bind.target, source]
            flags = (bind.read_only, not os.path.isdir(bind.source))
            _check(_library().view_add_bind(at, bind.target, source, *map(ctypes.c_bool, flags)))

    def resolve(self, here: Here, dirfd: int, path: bytes, want: int) -> Resolved:
        """What a guest's path means that is relative to `dirfd` of this process."""
        where = _Where()
        _check(
            _library().view_resolve(
                ctypes.byref(self._view),
                ctypes.byref(here.raw()),
                self._scratch,
                dirfd,
                path,
                want | WANT_WALK,
                ctypes.byref(where),
            )
        )
        name: bytes = where.name
        host_path = self._host_path(where.fd, name)
        return Resolved(where.fd, name, host_path, where.magic, where.read_only)

    def _host_path(self, fd: int, name: bytes) -> bytes:
        if name.startswith(b"/"):
            return name
        if fd == self._root_fd:
            return self._root + (b"/" + name if name != b"." else b"")
        try:
            here = "/proc/self/cwd" if fd == AT_FDCWD else f"/proc/self/fd/{fd}"
            return os.path.join(os.fsencode(os.readlink(here)), name)
        except OSError:  # it is too long
            return b".../" + name

    def unresolve(self, host_path: bytes) -> bytes:
        """The guest path of a host's; FileNotFoundError when it lies outside the view."""
        size = ctypes.c_size_t(PATH_MAX)
        view = ctypes.byref(self._view)
        _check(_library().view_unresolve(view, host_path, self._text, size))
        return self._text.value

    def proc_link(self, own: int, exes: Mapping[int, bytes], host_path: bytes) -> bytes | None:
        """What the process `own` reads of a link of procfs, by its host path; None for other links,
        and for those that the kernel itself answers best. `exes` are the programs of guest
        processes.
        """
        pid, fd = ctypes.c_uint64(), ctypes.c_uint64()
        kind = _library().proc_parse(
            host_path, ctypes.c_uint64(own), ctypes.byref(pid), ctypes.byref(fd)
        )
        if kind in (PROC_NONE, PROC_NS):
            return None
        length = _library().proc_target(
            ctypes.byref(self._view),
            exes.get(pid.value),
            self._scratch,
            kind,
            pid,
            host_path,
            self._text,
        )
        return None if length < 0 else self._text.value

    def program(self, here: Here, dirfd: int, path: bytes, flags: int) -> Program:
        """What execveat(2) of the guest would start."""
        plan = _Program()
        _check(
            _library().exec_plan(
                ctypes.byref(self._view),
                ctypes.byref(here.raw()),
                self._scratch,
                dirfd,
                path,
                flags,
                ctypes.byref(plan),
            )
        )
        prefix = tuple(word or b"" for word in plan.prefix[: plan.n_prefix])
        return Program(
            plan.exe_fd,
            plan.interp_fd,
            plan.machine,
            plan.exe_guest,
            prefix,
            plan.execfn or path,
        )


def _check(result: int) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
