"""Looks into a guest's root filesystem: its accounts, its shell, and the program that is to run."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from udockpy.container.users import Accounts
from udockpy.errors import NotFoundError
from udockpy.util.beneath import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from udockpy.container.plan import Plan

# e_machine of elf.h, by the kernel's names for its machines
MACHINES = {
    3: "i386",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv64",
    258: "loongarch64",
}
MAX_SCRIPTS = 5  # scripts that interpret scripts: the kernel's limit
HEAD = 4096


class Program(NamedTuple):
    """What is known of the program that a guest starts with; machine "" = it could not be told from
    here.
    """

    path: str = ""
    machine: str = ""
    interpreter: str = ""  # its dynamic linker, "" = it is static
    set_id: bool = False  # set-user-id or set-group-id, on the disk


def accounts(rootfs: str) -> Accounts:
    """The guest's password and group files."""
    with Root(rootfs) as root:
        return Accounts(_text(root, "/etc/passwd"), _text(root, "/etc/group"))


def find_shell(rootfs: str, wanted: tuple[str, ...]) -> str:
    """The first shell of `wanted` that the guest has, else /bin/sh, whose absence is then an error
    of the run.
    """
    with Root(rootfs) as root:
        for shell in (*wanted, "/bin/bash"):
            if shell.startswith("/") and _exists(root, shell):
                return shell
    return "/bin/sh"


def program(plan: Plan) -> Program:
    """Follows the plan's command to the ELF file that runs in the end.

    A missing interpreter is an error; whatever else cannot be told (a path through binds, no such
    program) is left to the engine, which looks with the guest's eyes.
    """
    with Root(plan.rootfs) as root:
        path = _locate(root, plan)
        for _ in range(MAX_SCRIPTS):
            head = _head(root, path) if path else b""
            if not head.startswith(b"#!"):
                break
            words = head[2:].split(b"\n", 1)[0].split()
            interpreter = os.fsdecode(words[0]) if words else ""
            path = _required(root, plan, path, interpreter)
        if head.startswith(b"\x7fELF") and len(head) >= 20:
            interpreter = elf_interpreter(head)
            _required(root, plan, path, interpreter)
            set_id = bool(root.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID))
            return Program(path, elf_machine(head), interpreter, set_id)
    return Program(path)


def open_program(rootfs: str, path: str) -> BinaryIO:
    """Opens a file of the guest as the guest would."""
    with Root(rootfs) as root:
        return os.fdopen(root.open(path), "rb")


def elf_machine(head: bytes) -> str:
    """The machine an ELF file is for."""
    order = "big" if head[5] == 2 else "little"
    number = int.from_bytes(head[18:20], order)  # type: ignore[arg-type]
    machine = MACHINES.get(number, f"machine {number}")
    return "x32" if machine == "x86_64" and head[4] == 1 else machine


def elf_interpreter(head: bytes) -> str:
    """The dynamic linker an ELF file names (PT_INTERP), "" for none."""
    import struct

    order = ">" if head[5] == 2 else "<"
    wide = head[4] == 2
    header = struct.Struct(order + ("QQIHHHHHH" if wide else "IIIHHHHHH"))
    if len(head) < (64 if wide else 52):
        return ""
    phoff, _, _, _, size, count, *_ = header.unpack_from(head, 32 if wide else 28)
    for at in range(phoff, min(phoff + size * count, len(head) - size + 1), size or 1):
        (kind,) = struct.unpack_from(order + "I", head, at)
        if kind == 3:
            offset, length = _segment(head, at, order, wide)
            return os.fsdecode(head[offset : offset + length].split(b"\0", 1)[0])
    return ""


def _segment(head: bytes, at: int, order: str, wide: bool) -> tuple[int, int]:
    import struct

    if wide:
        (offset,) = struct.unpack_from(order + "Q", head, at + 8)
        (length,) = struct.unpack_from(order + "Q", head, at + 32)
    else:
        (offset,) = struct.unpack_from(order + "I", head, at + 4)
        (length,) = struct.unpack_from(order + "I", head, at + 16)
    return offset, length


def _locate(root: Root, plan: Plan) -> str:
    """The guest path of the command, "" when it is not in the root filesystem itself."""
    name = plan.command[0]
    if "/" in name:
        found = [os.path.join(plan.chdir, name)]
    else:
        search = dict(plan.environment).get("PATH", "")
        found = [
            os.path.join(folder, name) for folder in search.split(":") if folder.startswith("/")
        ]
    return next((path for path in found if not _bound(plan, path) and _exists(root, path)), "")


def _bound(plan: Plan, path: str) -> bool:
    return any(f"{path}/".startswith(f"{bind.target}/") for bind in plan.binds)


def _required(root: Root, plan: Plan, path: str, interpreter: str) -> str:
    """Checks that an interpreter is there; returns it, or "" where binds decide."""
    if not interpreter.startswith("/") or _bound(plan, interpreter):
        return ""
    if not _exists(root, interpreter):
        reason = f"its interpreter {interpreter} does not exist in the guest"
        raise NotFoundError(
            "cannot run", path, reason, hint="install it in the guest, or run another program"
        )
    return interpreter


def _exists(root: Root, path: str) -> bool:
    try:
        root.stat(path)
    except OSError:
        return False
    return True


def _head(root: Root, path: str) -> bytes:
    try:
        return root.read(path, HEAD)
    except OSError:
        return b""


def _text(root: Root, path: str) -> str:
    try:
        return root.read(path).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
