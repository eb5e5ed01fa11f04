"""Starts programs as the kernel's execve(2) would in the guest.

The kernel would take the interpreter that an ELF file names from the host. So it is made to start
the guest's interpreter, and when that stands at its first instruction, the program is mapped beside
it and the auxiliary vector corrected. elf(5), getauxval(3).
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from udockpy.tracer.core import AT_FDCWD, Program
from udockpy.tracer.paths import link_to
from udockpy.tracer.tracee import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_PRIVATE,
    NOWHERE,
    PAGE,
    POINTER,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    SYSCALL_INSTRUCTION,
    Tracee,
)

PT_LOAD, ET_EXEC = 1, 2
PF_X, PF_W, PF_R = 1, 2, 4
AT_PHDR, AT_PHENT, AT_PHNUM, AT_BASE, AT_ENTRY, AT_EXECFN = 3, 4, 5, 7, 9, 31
NR_CLOSE, NR_MMAP, NR_PRCTL, NR_OPENAT = 3, 9, 157, 257
PR_SET_NAME = 15
MAP_FIXED_NOREPLACE = 0x100000


class Segment(NamedTuple):
    """A PT_LOAD header."""

    flags: int
    offset: int
    address: int
    file_size: int
    size: int

    def protection(self) -> int:
        bits = ((PF_R, PROT_READ), (PF_W, PROT_WRITE), (PF_X, PROT_EXEC))
        return sum(protection for flag, protection in bits if self.flags & flag)


class Image(NamedTuple):
    """What the loader needs of an ELF file."""

    fixed: bool
    entry: int
    headers: int  # address of the program headers
    header_size: int
    header_count: int
    segments: tuple[Segment, ...]


def image(fd: int) -> Image:
    """Reads the headers of a 64-bit ELF file, which the core has checked."""
    head = os.pread(fd, 64, 0)
    kind, _, _, entry, offset = struct.unpack_from("<HHIQQ", head, 16)
    size, count = struct.unpack_from("<HH", head, 54)
    table = os.pread(fd, size * count, offset)
    segments = []
    for index in range(count):
        what, *header = struct.unpack_from("<IIQQQQQ", table, index * size)
        if what == PT_LOAD:
            flags, start, address, _, file_size, memory_size = header
            segments.append(Segment(flags, start, address, file_size, memory_size))
    first = segments[0]
    headers = offset - first.offset + first.address
    return Image(kind == ET_EXEC, entry, headers, size, count, tuple(segments))


def load(tracee: Tracee, program: Program) -> None:
    """Finishes an execve(2) of the kernel's. The thread stands at the first instruction of what
    that started: the interpreter, else the program itself.
    """
    at = tracee.instruction
    code = tracee.read(at, len(SYSCALL_INSTRUCTION))
    tracee.write(at, SYSCALL_INSTRUCTION)
    try:
        _load(tracee, program)
    finally:
        tracee.write(at, code)
        tracee.release_signals()


def _load(tracee: Tracee, program: Program) -> None:
    vector = _auxiliary_vector(tracee)
    link = link_to(program.exe_fd)
    texts = _map_texts(tracee, link, program.execfn)
    name = texts + len(link) + 1
    tracee.call(NR_PRCTL, PR_SET_NAME, name + program.execfn.rfind(b"/") + 1)
    right = {AT_EXECFN: name}
    if program.interpreter_fd >= 0:
        what = image(program.exe_fd)
        base = _map(tracee, texts, what)
        start = next(value for _, key, value in vector if key == AT_ENTRY)
        right[AT_PHDR] = base + what.headers
        right[AT_PHENT] = what.header_size
        right[AT_PHNUM] = what.header_count
        right[AT_BASE] = start - image(program.interpreter_fd).entry
        right[AT_ENTRY] = base + what.entry
    for address, key, _ in vector:
        if key in right:
            tracee.write(address + POINTER, struct.pack("<Q", right[key]))


def _auxiliary_vector(tracee: Tracee) -> list[tuple[int, int, int]]:
    """Address, key and value of each entry. It follows argc, argv and envp on the stack."""
    at = tracee.stack + POINTER
    for _ in "argv", "envp":
        at += POINTER * (len(tracee.words(at)) + 1)
    found = []
    key = -1
    while key:
        key, value = struct.unpack("<QQ", tracee.read(at, 2 * POINTER))
        found.append((at, key, value))
        at += 2 * POINTER
    return found


def _map_texts(tracee: Tracee, *texts: bytes) -> int:
    """Maps strings, one after the other."""
    data = b"".join(text + b"\0" for text in texts)
    size = len(data) + PAGE - 1 & -PAGE
    flags = MAP_PRIVATE | MAP_ANONYMOUS
    at = tracee.call(NR_MMAP, 0, size, PROT_READ | PROT_WRITE, flags, NOWHERE, 0)
    tracee.write(at, data)
    return at


def _map(tracee: Tracee, path: int, what: Image) -> int:
    """Maps all segments; returns what is to be added to their addresses."""
    fd = tracee.call(NR_OPENAT, AT_FDCWD, path, os.O_RDONLY | os.O_CLOEXEC, 0)
    low = what.segments[0].address & -PAGE
    high = max(segment.address + segment.size for segment in what.segments) + PAGE - 1 & -PAGE
    flags = MAP_PRIVATE | MAP_ANONYMOUS | (MAP_FIXED_NOREPLACE if what.fixed else 0)
    wanted = low if what.fixed else 0
    base = tracee.call(NR_MMAP, wanted, high - low, 0, flags, NOWHERE, 0) - low
    for segment in what.segments:
        _map_segment(tracee, fd, base, segment)
    tracee.call(NR_CLOSE, fd)
    return base


def _map_segment(tracee: Tracee, fd: int, base: int, segment: Segment) -> None:
    protection = segment.protection()
    start = base + segment.address & -PAGE
    file_end = base + segment.address + segment.file_size
    end = base + segment.address + segment.size + PAGE - 1 & -PAGE
    if segment.file_size:
        flags, offset = MAP_PRIVATE | MAP_FIXED, segment.offset & -PAGE
        tracee.call(NR_MMAP, start, file_end - start, protection, flags, fd, offset)
        if segment.size > segment.file_size:
            tracee.write(file_end, bytes(-file_end % PAGE))
        start = file_end + PAGE - 1 & -PAGE
    if end > start:
        flags = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS
        tracee.call(NR_MMAP, start, end - start, protection, flags, NOWHERE, 0)
