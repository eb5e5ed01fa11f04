"""One traced thread: its registers, its memory, and calls that it is made to make. x86_64.

ptrace(2), proc_pid_mem(5); syscall(2) tells which register is what.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
from typing import Any, Callable

from ptrace.binding import func as binding

ARGUMENTS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
SYSCALL_INSTRUCTION = b"\x0f\x05"
AUDIT_ARCH = 0xC000003E  # of calls by this instruction: `int $0x80` has numbers of i386
FOREIGN = -1  # what we say the number of such a call is
NR_OPEN, NR_MMAP = 2, 9
MACHINE = 62  # EM_X86_64

PAGE = 4096
PATH_MAX = 4096
POINTER = 8
WORD = (1 << 64) - 1
NOWHERE = WORD  # a descriptor or call number of -1

PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4
MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS = 2, 0x10, 0x20
ROOM = 16 << 10  # two paths and a socket's address, with room to spare

# What python-ptrace has no names for.
PTRACE_GET_SYSCALL_INFO = 0x420E
SYSCALL_ENTRY = 1  # ptrace_syscall_info.op
SYSCALL_STOP = signal.SIGTRAP | 0x80  # PTRACE_O_TRACESYSGOOD
WALL = binding.THREAD_TRACE_FLAGS


class NoRoom(Exception):
    """The tracee has no memory of ours for what is to be put there."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class Ended(Exception):
    """The tracee is gone: its wait status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Info(ctypes.Structure):
    """The beginning of struct ptrace_syscall_info."""

    _fields_ = (
        ("op", ctypes.c_uint8),
        ("arch", ctypes.c_uint32),
        ("ip", ctypes.c_uint64),
        ("sp", ctypes.c_uint64),
    )


class Tracee:
    """A thread, and what is to happen when its present call ends."""

    def __init__(self, tid: int, process: Any) -> None:
        self.tid = tid
        self.process = process  # what its threads share: udockpy.tracer.process.Process
        self.number = -1  # of the present call
        self.entered: tuple[int, ...] = ()  # its arguments as the guest gave them
        self.paths: list[tuple[bytes, bytes]] = []  # in it: guest and host
        self.finish: list[Callable[[], None]] = []  # at its end
        self.room = (0, 0)  # where memory of ours begins and ends in the tracee
        self._registers: Any = None
        self._used = 0
        self._replaced = False  # the call is another than the guest's
        self._descriptors: list[int] = []  # of this process, held for the call
        self._changed: set[int] = set()  # arguments of the call that are ours
        self._held: list[int] = []  # signals that came while the thread made calls of ours

    # --- registers ---

    def stopped(self) -> bool:
        """Looks at a stop of a call; returns whether the call is about to be made."""
        self._fetch()
        info = _Info()
        size = ctypes.sizeof(info)
        binding.ptrace(PTRACE_GET_SYSCALL_INFO, self.tid, size, ctypes.addressof(info))
        if info.op != SYSCALL_ENTRY:
            return False
        self.number = int(self._registers.orig_rax) if info.arch == AUDIT_ARCH else FOREIGN
        self.entered = tuple(getattr(self._registers, name) for name in ARGUMENTS)
        self.paths, self.finish, self._changed = [], [], set()
        self._replaced = False
        self._used = self.room[0]
        return True

    def leave(self) -> None:
        """At the end of the call: what was asked for. The guest finds its arguments as they were:
        those that we changed, for rt_sigreturn(2) brings registers of its own.
        """
        for finish in self.finish:
            with contextlib.suppress(OSError):  # the guest's memory has gone meanwhile
                finish()
        self.let_go()
        if self._replaced:
            self._registers.orig_rax = self.number  # should it be made once more
        for index in self._changed:
            setattr(self._registers, ARGUMENTS[index], self.entered[index])
        self.finish, self._changed, self._replaced = [], set(), False

    def store(self) -> None:
        binding.ptrace_setregs(self.tid, self._registers)

    def argument(self, index: int) -> int:
        return int(getattr(self._registers, ARGUMENTS[index]))

    def int_argument(self, index: int) -> int:
        """An argument that is an int in C."""
        return ctypes.c_int(self.argument(index)).value

    def set_argument(self, index: int, value: int) -> None:
        """For the time of the call."""
        setattr(self._registers, ARGUMENTS[index], value & WORD)
        self._changed.add(index)

    def set_number(self, number: int) -> None:
        """Another call is to be made."""
        self._registers.orig_rax = number
        self._replaced = True

    @property
    def result(self) -> int:
        """What the call returned: >= 0 or -errno."""
        return ctypes.c_long(self._registers.rax).value

    @property
    def stack(self) -> int:
        return int(self._registers.rsp)

    @property
    def instruction(self) -> int:
        return int(self._registers.rip)

    def answer(self, result: int) -> None:
        """The kernel is not to make the call: this is what it returns."""
        self._registers.orig_rax = NOWHERE
        self.finish.append(lambda: setattr(self._registers, "rax", result & WORD))

    def started(self) -> None:
        """The thread has become another program: registers and memory are new."""
        self._changed, self._replaced, self.room = set(), False, (0, 0)

    def _fetch(self) -> None:
        self._registers = binding.ptrace_getregs(self.tid)

    def hold(self, fd: int) -> int:
        """Keeps a descriptor of this process open until the call has ended."""
        self._descriptors.append(fd)
        return fd

    def let_go(self) -> None:
        for fd in self._descriptors:
            os.close(fd)
        self._descriptors = []

    # --- memory ---

    def read(self, address: int, size: int) -> bytes:
        """Raises OSError(EFAULT)."""
        with open(f"/proc/{self.tid}/mem", "rb", buffering=0) as memory:
            return _whole(lambda: os.pread(memory.fileno(), size, address), size)

    def write(self, address: int, data: bytes) -> None:
        """Also where the tracee may not. Raises OSError(EFAULT)."""
        with open(f"/proc/{self.tid}/mem", "r+b", buffering=0) as memory:
            _whole(lambda: data[: os.pwrite(memory.fileno(), data, address)], len(data))

    def read_word(self, address: int) -> int:
        return int.from_bytes(self.read(address, POINTER), "little")

    def string(self, address: int) -> bytes:
        """A path. Raises OSError(EFAULT or ENAMETOOLONG)."""
        found = b""
        while len(found) < PATH_MAX:
            piece = self.read(address, PAGE - address % PAGE)
            text, end, _ = piece.partition(b"\0")
            found += text
            if end and len(found) < PATH_MAX:
                return found
            address += len(piece)
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))

    def words(self, address: int) -> list[int]:
        """A list of pointers up to its NULL."""
        found: list[int] = []
        while address and (word := self.read_word(address + POINTER * len(found))):
            found.append(word)
        return found

    def push(self, data: bytes) -> int:
        """Puts data into memory of ours, for the time of the call; returns where. Raises NoRoom."""
        at = self._used
        if at + len(data) > self.room[1]:
            raise NoRoom(at - self.room[0] + len(data))
        self.write(at, data)
        self._used = at + len(data) + POINTER - 1 & -POINTER
        return at

    # --- calls of our own ---

    def make_room(self, size: int) -> None:
        """At the entry of a call: memory for `size` bytes first, and then the call once more.

        Between an entry and its exit no signal is delivered, so the guest notices nothing.
        """
        self.let_go()
        kept = binding.ptrace_getregs(self.tid)
        size = max(size, ROOM) + PAGE - 1 & -PAGE
        self._registers.orig_rax = NR_MMAP
        self._set_arguments(
            0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, NOWHERE, 0
        )
        self.store()
        self._go_on()
        self._fetch()
        result = self.result
        if -PAGE < result < 0:
            kept.rax = result & WORD  # of the guest's call, which is over
        else:
            self.room = (result, result + size)
            kept.rip -= len(SYSCALL_INSTRUCTION)
            kept.rax = kept.orig_rax
        self._registers = kept

    def call(self, number: int, *arguments: int) -> int:
        """Makes a call at a place where the tracee's code is SYSCALL_INSTRUCTION, at which it
        stands. Raises OSError.
        """
        kept = binding.ptrace_getregs(self.tid)
        self._registers.rax = number
        self._set_arguments(*arguments)
        self.store()
        self._go_on()
        self._go_on()
        self._fetch()
        result = self.result
        self._registers = kept
        self.store()
        if -PAGE < result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def release_signals(self) -> None:
        """After calls of ours."""
        for number in self._held:
            os.kill(self.tid, number)
        self._held = []

    def _set_arguments(self, *arguments: int) -> None:
        for name, value in zip(ARGUMENTS, (*arguments, 0, 0, 0, 0, 0, 0)):
            setattr(self._registers, name, value & WORD)

    def _go_on(self) -> None:
        """To the next entry or exit of a call. A signal in between comes again afterwards."""
        while True:
            binding.ptrace_syscall(self.tid)
            _, status = os.waitpid(self.tid, WALL)
            if not os.WIFSTOPPED(status):
                raise Ended(status)
            if os.WSTOPSIG(status) == SYSCALL_STOP:
                return
            if not status >> 16:
                self._held.append(os.WSTOPSIG(status))


def _whole(transfer: Callable[[], bytes], size: int) -> bytes:
    try:
        data = transfer()
    except (OSError, OverflowError):
        data = b""
    if len(data) < size:
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
    return data
