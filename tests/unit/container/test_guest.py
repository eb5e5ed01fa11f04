"""What can be told of a guest's program before it runs."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from udockpy.container import guest
from udockpy.container.guest import Program
from udockpy.container.plan import Bind, Identity, Plan
from udockpy.errors import NotFoundError


def elf(machine: int, interpreter: str = "", *, wide: bool = True, order: str = "<") -> bytes:
    """An ELF file of a header, and a PT_INTERP when there is an interpreter."""
    name = interpreter.encode() + b"\0"
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    size, segment = (64, 56) if wide else (52, 32)
    words = "HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"
    count = 1 if interpreter else 0
    header = struct.pack(order + words, 2, machine, 1, 0, size, 0, 0, size, segment, count, 0, 0, 0)
    at = size + segment
    if wide:
        program = struct.pack(order + "IIQQQQQQ", 3, 4, at, 0, 0, len(name), len(name), 1)
    else:
        program = struct.pack(order + "IIIIIIII", 3, at, 0, 0, len(name), len(name), 4, 1)
    return ident + header + (program + name if interpreter else b"")


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/ld.so").write_bytes(elf(62))
    return tmp_path


def look(rootfs: Path, *command: str, binds: tuple[Bind, ...] = ()) -> Program:
    environ = (("PATH", "/sbin:relative:/bin"),)
    return guest.program(Plan(os.fspath(rootfs), command, Identity(1, 1), environ, binds))


def test_what_selection_asks_of_a_program(rootfs: Path) -> None:
    (rootfs / "bin/p").write_bytes(elf(62, "/lib/ld.so"))
    assert look(rootfs, "p") == Program("/bin/p", "x86_64", "/lib/ld.so")
    (rootfs / "bin/p").chmod(0o4755)
    assert look(rootfs, "p").set_id


@pytest.mark.parametrize(
    ("content", "machine"),
    [
        (elf(62), "x86_64"),
        (elf(62, wide=False), "x32"),
        (elf(3, wide=False), "i386"),
        (elf(183), "aarch64"),
        (elf(22, order=">"), "s390x"),
        (elf(999), "machine 999"),
        (b"no program", ""),
    ],
)
def test_the_machine_of_a_program(rootfs: Path, content: bytes, machine: str) -> None:
    (rootfs / "bin/p").write_bytes(content)
    assert look(rootfs, "p") == Program("/bin/p", machine)


def test_scripts_are_followed_to_their_interpreter(rootfs: Path) -> None:
    (rootfs / "bin/sh").write_bytes(elf(183))
    (rootfs / "bin/inner").write_text("#! /bin/sh -e\n")
    (rootfs / "bin/outer").write_text("#!/bin/inner\n")
    assert look(rootfs, "/bin/outer").machine == "aarch64"


@pytest.mark.parametrize("wide", [True, False])
def test_a_missing_dynamic_linker_is_told(rootfs: Path, wide: bool) -> None:
    (rootfs / "bin/p").write_bytes(elf(62, "/lib/none.so", wide=wide))
    with pytest.raises(
        NotFoundError, match=r"/bin/p: its interpreter /lib/none\.so does not"
    ) as caught:
        look(rootfs, "p")
    assert caught.value.exit_code == 127


def test_a_missing_script_interpreter_is_told(rootfs: Path) -> None:
    (rootfs / "bin/p").write_text("#!/usr/bin/python9\n")
    with pytest.raises(NotFoundError, match="interpreter /usr/bin/python9"):
        look(rootfs, "p")


def test_a_present_dynamic_linker_is_fine(rootfs: Path) -> None:
    (rootfs / "bin/p").write_bytes(elf(62, "/lib/ld.so"))
    assert look(rootfs, "p").machine == "x86_64"


def test_what_lies_in_binds_is_left_to_the_engine(rootfs: Path) -> None:
    (rootfs / "bin/p").write_bytes(elf(183))
    assert look(rootfs, "/bin/p", binds=(Bind("/bin", "/bin"),)) == Program()


def test_an_unknown_program_is_left_to_the_engine(rootfs: Path) -> None:
    assert look(rootfs, "none") == Program()


@pytest.mark.parametrize("cut", [0, 4, 19, 20, 40, 64, 80, 119])
def test_a_cut_off_program_is_no_crash(rootfs: Path, cut: int) -> None:
    (rootfs / "bin/p").write_bytes(elf(62, "/lib/ld.so")[:cut])
    look(rootfs, "p")


def test_a_shell_is_found(rootfs: Path) -> None:
    (rootfs / "bin/zsh").write_bytes(b"")
    assert guest.find_shell(os.fspath(rootfs), ("/bin/fish", "/bin/zsh")) == "/bin/zsh"
    assert guest.find_shell(os.fspath(rootfs), ("",)) == "/bin/sh"


def test_accounts_are_read_inside_the_guest(rootfs: Path) -> None:
    (rootfs / "etc").mkdir()
    (rootfs / "etc/passwd").symlink_to("/lib/passwd")
    (rootfs / "lib/passwd").write_bytes(b"caf\xe9:x:1:1::/:/bin/sh\n")
    found = guest.accounts(os.fspath(rootfs))
    assert [user.uid for user in found.users()] == [1]
    assert found.group == ""
