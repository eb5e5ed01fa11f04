"""What an engine can meet in a guest's program, in full: for people. Selection makes do with the
little that guest.program() reads, as pyelftools takes longer to import than a run to start.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Any, NamedTuple

from udockpy.container import guest
from udockpy.container.guest import Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

    from udockpy.container.plan import Plan

STATIC, STATIC_PIE, DYNAMIC = "static", "static-pie", "dynamic"
SYMBOL_VERSION = re.compile(rb"(?:GLIBC|GLIBCXX)_\d")
# What the libraries say of themselves when they are run as programs.
GLIBC_BANNER = re.compile(rb"release version (\d+\.\d+)")
MUSL_VERSION = re.compile(rb"\0(\d+\.\d+\.\d+(?:-git-[\w-]+)?)\0")


class Facts(NamedTuple):
    """An ELF program and the C library it finds in its guest; "" = none, or not to be told."""

    path: str
    machine: str
    bits: int
    linking: str
    set_id: bool
    interpreter: str = ""
    interpreter_present: bool = False
    libc: str = ""  # glibc or musl
    libc_version: str = ""

    def describe(self) -> list[str]:
        """In words, one thing a line."""
        set_id = ", set-id" if self.set_id else ""
        lines = [f"program {self.path}: {self.bits}-bit {self.machine}, {self.linking}{set_id}"]
        if self.interpreter:
            presence = "" if self.interpreter_present else " (not in the guest)"
            lines.append(f"interpreter {self.interpreter}{presence}")
        if self.libc:
            lines.append(f"libc {self.libc} {self.libc_version or 'of unknown version'}")
        return lines

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return self._asdict()


def examine(plan: Plan, program: Program) -> Facts | None:
    """The facts about a program of a guest; None where it could not be told from here."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    if not program.machine:
        return None
    with guest.open_program(plan.rootfs, program.path) as file:
        try:
            elf = ELFFile(file)
            linking, interpreter = _linking(elf)
            bits = elf.elfclass
        except ELFError:
            return None
    content = _content(plan.rootfs, interpreter)
    libc, version = _libc(plan.rootfs, interpreter, content)
    return Facts(
        path=program.path,
        machine=program.machine,
        bits=bits,
        linking=linking,
        set_id=program.set_id or _pretends_set_id(plan, program.path),
        interpreter=interpreter,
        interpreter_present=content is not None,
        libc=libc,
        libc_version=version,
    )


def _linking(elf: ELFFile) -> tuple[str, str]:
    from elftools.elf.segments import InterpSegment

    segments = list(elf.iter_segments())
    for segment in segments:
        if isinstance(segment, InterpSegment):
            return DYNAMIC, segment.get_interp_name()
    pie = any(segment["p_type"] == "PT_DYNAMIC" for segment in segments)
    return (STATIC_PIE if pie else STATIC), ""


def _pretends_set_id(plan: Plan, path: str) -> bool:
    """Whether the fakedb remembers a set-id bit, which the disk never has."""
    from udockpy.layer.fakedb import MODE, Fakedb, key_of
    from udockpy.util.beneath import Root

    if not os.path.exists(plan.fakedb):
        return False
    with Root(plan.rootfs) as root, Fakedb(plan.fakedb, read_only=True) as fakedb:
        folder, name = root.locate(path, follow=True)
        try:
            record = fakedb.get(key_of(name, dir_fd=folder))
        finally:
            os.close(folder)
    return bool(record and record.has & MODE and record.mode & (stat.S_ISUID | stat.S_ISGID))


def _libc(rootfs: str, interpreter: str, content: bytes | None) -> tuple[str, str]:
    """The C library that an interpreter belongs to, and its version."""
    if content is None:
        return "", ""
    if b"musl libc" in content:
        return "musl", _first(MUSL_VERSION, content)
    if not SYMBOL_VERSION.search(content):
        return "", ""
    # Old interpreters keep their version to themselves, but libc.so.6 lies beside them.
    version = _first(GLIBC_BANNER, content)
    if not version:
        real = _real_folder(rootfs, interpreter)
        version = _first(GLIBC_BANNER, _content(rootfs, f"{real}/libc.so.6") or b"")
    return "glibc", version


def _first(pattern: re.Pattern[bytes], content: bytes) -> str:
    found = pattern.search(content)
    return found.group(1).decode() if found else ""


def _content(rootfs: str, path: str) -> bytes | None:
    if not path:
        return None
    try:
        with guest.open_program(rootfs, path) as file:
            return file.read()
    except OSError:
        return None


def _real_folder(rootfs: str, path: str) -> str:
    """The guest's directory that a path leads to, links followed."""
    from udockpy.util.beneath import Root

    with Root(rootfs) as root:
        folder, _ = root.locate(path, follow=True)
        try:
            host = os.readlink(f"/proc/self/fd/{folder}")
        finally:
            os.close(folder)
        return "/" + os.path.relpath(host, os.readlink(f"/proc/self/fd/{root.fd}"))
