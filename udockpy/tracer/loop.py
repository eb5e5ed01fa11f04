"""The tracer's loop: every stop of every thread, until the first process has ended. ptrace(2)."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from typing import Callable, NoReturn

from ptrace import PtraceError
from ptrace.binding import func as binding

from udockpy.tracer import calls, core
from udockpy.tracer.core import AT_FDCWD
from udockpy.tracer.openat2 import open_without_links
from udockpy.tracer.process import Process
from udockpy.tracer.tracee import SYSCALL_STOP, WALL, Ended, NoRoom, Tracee
from udockpy.util.process import FORWARDED

# What python-ptrace has no names for.
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_LISTEN = 0x4206, 0x4207, 0x4208
EVENT_STOP = 128
OPTIONS = (
    binding.PTRACE_O_TRACESYSGOOD
    | binding.PTRACE_O_TRACEFORK
    | binding.PTRACE_O_TRACEVFORK
    | binding.PTRACE_O_TRACECLONE
    | binding.PTRACE_O_TRACEEXEC
    | 0x100000  # PTRACE_O_EXITKILL
)
BIRTHS = (binding.PTRACE_EVENT_FORK, binding.PTRACE_EVENT_VFORK, binding.PTRACE_EVENT_CLONE)
CLONE_VM, CLONE_VFORK, CLONE_THREAD = 0x100, 0x4000, 0x10000

STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
WAITED = {*FORWARDED, signal.SIGCHLD}

Watch = Callable[[Tracee], None]  # told of every call when it has ended


class Tracer:
    """All threads that are traced."""

    def __init__(self, watch: Watch | None = None) -> None:
        self._watch = watch
        self._tracees: dict[int, Tracee] = {}
        self._unknown: dict[int, int] = {}  # new threads that stopped before their parent said so
        self._first = 0

    def start(self, function: Callable[[], NoReturn], process: Callable[[int], Process]) -> None:
        """Has a child run a function under trace. Raises OSError where that is not allowed."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {*WAITED, *STOPS[1:]})
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                os.read(reader, 1)  # until it is traced
                function()
            finally:
                os._exit(os.EX_SOFTWARE)
        try:
            os.close(open_without_links(AT_FDCWD, b"/"))
            self._first = pid
            self._tracees[pid] = first = Tracee(pid, process(pid))
            binding.ptrace(PTRACE_SEIZE, pid, 0, OPTIONS)
            binding.ptrace(PTRACE_INTERRUPT, pid)
            os.waitpid(pid, WALL)
            first.stopped()
            binding.ptrace_syscall(pid)
        except (PtraceError, OSError) as e:
            os.kill(pid, signal.SIGKILL)
            raise OSError(e.errno, os.strerror(e.errno or 0)) from e
        os.write(writer, b"\n")

    def run(self) -> int:
        """Returns the wait status of the first process. What it leaves running is killed when this
        process ends.
        """
        while True:
            self._forward(signal.sigwaitinfo(WAITED))
            while ready := list(_ready()):
                for tid, status in ready:
                    ended = self._handle(tid, status)
                    if ended is not None and tid == self._first:
                        return ended

    def _forward(self, received: signal.struct_siginfo) -> None:
        """What the terminal sent (si_code > 0) the guest has already, for it is of the same group;
        but a terminal that hangs up tells only us, who may lead its session.
        """
        if received.si_signo == signal.SIGCHLD:
            return
        if received.si_code <= 0 or received.si_signo == signal.SIGHUP:
            os.kill(self._first, received.si_signo)

    def _handle(self, tid: int, status: int) -> int | None:
        """Returns the wait status of a thread that has ended."""
        try:
            if os.WIFSTOPPED(status):
                self._stopped(tid, status)
                return None
        except Ended as e:
            status = e.status
        except PtraceError as e:
            if e.errno != errno.ESRCH:
                raise
            return None  # killed: its end comes by the next wait
        self._gone(tid)
        return status

    def _gone(self, tid: int) -> None:
        tracee = self._tracees.pop(tid, None)
        if tracee is None:
            return
        tracee.let_go()
        if all(tracee.process is not other.process for other in self._tracees.values()):
            tracee.process.ended()

    def _stopped(self, tid: int, status: int) -> None:
        number, event = os.WSTOPSIG(status), status >> 16
        tracee = self._tracees.get(tid)
        if tracee is None:
            self._unknown[tid] = status
            return
        if event == EVENT_STOP and number in STOPS:
            self._group_stop(tid)
            return
        if number == SYSCALL_STOP:
            self._call(tracee)
        elif event in BIRTHS:
            self._born(tracee)
        elif event == binding.PTRACE_EVENT_EXEC:
            self._executed(tracee)
        binding.ptrace_syscall(tid, 0 if event or number == SYSCALL_STOP else number)

    def _group_stop(self, tid: int) -> None:
        """The guest stays stopped until SIGCONT; with its first process so do we, for the shell
        that watches us.
        """
        binding.ptrace(PTRACE_LISTEN, tid)
        if tid == self._first:
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(tid, signal.SIGCONT)  # somebody continued us

    def _call(self, tracee: Tracee) -> None:
        if tracee.stopped():
            try:
                calls.enter(tracee)
            except NoRoom as e:
                tracee.make_room(e.size)
        else:
            tracee.leave()
            if self._watch:
                self._watch(tracee)
        tracee.store()

    def _born(self, parent: Tracee) -> None:
        tid = binding.ptrace_geteventmsg(parent.tid)
        row = core.row(parent.number)
        flags = parent.entered[0] if row and row.name == "clone" else 0
        is_thread = flags & CLONE_THREAD
        child = Tracee(tid, parent.process if is_thread else parent.process.forked(tid))
        # A parent that waits (vfork) uses its room no more; others that share the memory do.
        if not flags & CLONE_VM or flags & CLONE_VFORK:
            child.room = parent.room
        self._tracees[tid] = child
        if tid in self._unknown:
            self._handle(tid, self._unknown.pop(tid))

    def _executed(self, tracee: Tracee) -> None:
        """The other threads are gone, and the one that called has the number of the process."""
        former = binding.ptrace_geteventmsg(tracee.tid)
        if former != tracee.tid and former in self._tracees:
            caller = self._tracees.pop(former)
            caller.tid = tracee.tid
            self._tracees[tracee.tid] = caller


def _ready() -> Iterator[tuple[int, int]]:
    """All threads that have stopped or ended, and how. All, before one of them goes on: to wait for
    one at a time would give those that stop often, and others never.
    """
    while True:
        try:
            tid, status = os.waitpid(-1, WALL | os.WNOHANG)
        except ChildProcessError:
            return
        if not tid:
            return
        yield tid, status
