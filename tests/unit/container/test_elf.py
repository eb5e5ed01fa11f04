"""What is told about a guest's program."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from test_guest import elf

from udockpy.container import guest
from udockpy.container.elf import Facts, examine
from udockpy.container.plan import Identity, Plan
from udockpy.layer.fakedb import MODE, Fakedb, Record, key_of

GLIBC = b"\0GLIBC_2.2.5\0ld.so (Debian GLIBC 2.36-9) stable release version 2.36.\n"
OLD_GLIBC = b"\0GLIBC_2.2.5\0"
MUSL = b"musl libc (x86_64)\nVersion %s\n\0x1.2.3\0" + b"1.2.3\0"


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    for name in ("bin", "lib/real"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def plan_at(rootfs: Path, fakedb: str) -> Plan:
    return Plan(os.fspath(rootfs), ("/bin/p",), Identity(1, 1), (), fakedb=fakedb)


def examine_at(rootfs: Path, fakedb: str = "") -> Facts | None:
    plan = plan_at(rootfs, fakedb)
    return examine(plan, guest.program(plan))


def facts(rootfs: Path, content: bytes) -> Facts | None:
    (rootfs / "bin/p").write_bytes(content)
    return examine_at(rootfs)


def test_a_static_program(rootfs: Path) -> None:
    found = facts(rootfs, elf(183))
    assert found == Facts("/bin/p", "aarch64", 64, "static", set_id=False)
    assert found.describe() == ["program /bin/p: 64-bit aarch64, static"]


@pytest.mark.parametrize(
    ("content", "libc", "version"),
    [(GLIBC, "glibc", "2.36"), (MUSL, "musl", "1.2.3"), (b"something else", "", "")],
)
def test_the_c_library_is_the_interpreters(
    rootfs: Path, content: bytes, libc: str, version: str
) -> None:
    (rootfs / "lib/ld.so").write_bytes(content)
    found = facts(rootfs, elf(3, "/lib/ld.so", wide=False))
    assert found is not None
    assert (found.bits, found.linking, found.interpreter) == (32, "dynamic", "/lib/ld.so")
    assert found.interpreter_present
    assert (found.libc, found.libc_version) == (libc, version)


def test_an_old_interpreter_has_its_library_beside_it(rootfs: Path) -> None:
    (rootfs / "lib/real/ld.so").write_bytes(OLD_GLIBC)
    (rootfs / "lib/real/libc.so.6").write_bytes(b"GNU C Library stable release version 2.19, by")
    (rootfs / "lib/ld.so").symlink_to("/lib/real/ld.so")
    found = facts(rootfs, elf(62, "/lib/ld.so"))
    assert found is not None
    assert (found.libc, found.libc_version) == ("glibc", "2.19")


def test_set_id_is_told_whether_real_or_pretended(rootfs: Path, tmp_path: Path) -> None:
    (rootfs / "bin/p").write_bytes(elf(62))
    (rootfs / "bin/p").chmod(stat.S_ISGID | 0o755)
    found = examine_at(rootfs)
    assert found is not None
    assert found.set_id
    (rootfs / "bin/p").chmod(0o755)
    file = os.fspath(tmp_path / "fakedb")
    folder = os.open(rootfs / "bin", os.O_RDONLY)
    with Fakedb(file, create=True) as fakedb:
        fakedb.update(key_of("p", dir_fd=folder), Record(MODE, mode=stat.S_IFREG | 0o4755))
    os.close(folder)
    found = examine_at(rootfs, file)
    assert found is not None
    assert found.set_id
    assert not guest.program(plan_at(rootfs, file)).set_id


@pytest.mark.parametrize("content", [b"text", b"\x7fELF", elf(62, "/lib/ld.so")[:30]])
def test_what_is_no_program_has_no_facts(rootfs: Path, content: bytes) -> None:
    assert facts(rootfs, content) is None
