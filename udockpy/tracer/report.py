"""What `udockpy trace` prints: a line for each call when it has ended."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import NamedTuple

from ptrace.syscall.linux.x86_64 import SYSCALL_NAMES
from ptrace.syscall.prototypes import SYSCALL_PROTOTYPES

from udockpy.tracer import core
from udockpy.tracer.tracee import Tracee

FILES = "%file"  # all calls with a path
POINTERS = ("*", "unsigned long")  # types that are shown as addresses
SMALL = 4096


class UnknownCallError(ValueError):
    """There is no system call of this name."""


def chosen(names: str) -> frozenset[str]:
    """The names in a list that is separated by commas; none means all."""
    found = frozenset(name for name in names.split(",") if name)
    rows = (core.row(number) for number in range(core.last_number() + 1))
    known = {FILES, *SYSCALL_NAMES.values(), *(row.name for row in rows if row)}
    for name in sorted(found - known):
        raise UnknownCallError(name)
    return found


class Report:
    """Writes to a descriptor. An instance is a udockpy.tracer.loop.Watch."""

    def __init__(self, fd: int, names: frozenset[str]) -> None:
        self._fd = fd
        self._names = names

    def __call__(self, tracee: Tracee) -> None:
        name = name_of(tracee.number)
        wanted = name in self._names or (FILES in self._names and tracee.paths)
        if wanted or not self._names:
            line = f"[{tracee.tid}] {name}({arguments(tracee, name)}) = {result(tracee.result)}\n"
            os.write(self._fd, os.fsencode(line))


def name_of(number: int) -> str:
    row = core.row(number)
    return row.name if row else str(SYSCALL_NAMES.get(number, f"syscall_{number}"))


class Argument(NamedTuple):
    """What is shown of an argument that is no path."""

    kind: str  # its type in C
    value: int

    def __str__(self) -> str:
        if "*" not in self.kind and "long" not in self.kind:
            value = ctypes.c_int(self.value).value
            return "AT_FDCWD" if value == core.AT_FDCWD else str(value)
        if not self.value and "*" in self.kind:
            return "NULL"
        return hex(self.value) if self.value > SMALL else str(self.value)


def arguments(tracee: Tracee, name: str) -> str:
    """The arguments as the guest gave them, its paths beside the host's."""
    _, prototype = SYSCALL_PROTOTYPES.get(name, ("long", ()))
    kinds = [kind for kind, _ in prototype]
    row = core.row(tracee.number)
    positions = [argument.path for argument in row.paths] if row else []
    count = len(kinds) or max(positions, default=-1) + 1
    kinds += ["long"] * (count - len(kinds))
    shown = [str(Argument(*pair)) for pair in zip(kinds, tracee.entered)]
    for position, pair in zip(positions, tracee.paths):
        shown[position] = path(*pair)
    # Of addresses of sockets, and of what the kernel says.
    others = [f"[{path(*pair)}]" for pair in tracee.paths[len(positions) :]]
    return ", ".join([*shown, *others])


def path(guest: bytes, host: bytes) -> str:
    """Both; the guest's alone where the host has no such thing, or the same."""
    quoted = f'"{os.fsdecode(guest)}"'
    return quoted if host in (b"", guest) else f'{quoted} -> "{os.fsdecode(host)}"'


def result(value: int) -> str:
    if -SMALL < value < 0:
        return f"-1 {errno.errorcode.get(-value, -value)} ({os.strerror(-value)})"
    return str(value) if value <= SMALL else hex(value)
