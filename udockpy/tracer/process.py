"""What the threads of a guest process share, and what all processes of a guest do."""

from __future__ import annotations

from typing import NamedTuple

from udockpy.tracer.core import Here, View


class Container(NamedTuple):
    """A guest."""

    view: View
    exes: dict[int, bytes]  # the guest path of each process' program


class Process:
    """One process of a guest."""

    def __init__(self, pid: int, container: Container, exe: bytes) -> None:
        self.pid = pid
        self.container = container
        self.started(exe)

    @property
    def exe(self) -> bytes:
        return self.container.exes[self.pid]

    def here(self) -> Here:
        return Here(self.pid, self.exe)

    def started(self, exe: bytes) -> None:
        """It has become another program."""
        self.container.exes[self.pid] = exe
        self.dumpable = 1  # what it believes to be: prctl(PR_SET_DUMPABLE)

    def forked(self, pid: int) -> Process:
        """The child that fork(2) makes."""
        child = Process(pid, self.container, self.exe)
        child.dumpable = self.dumpable
        return child

    def ended(self) -> None:
        del self.container.exes[self.pid]
