"""What the preload engine finds in programs is what a disassembler finds in them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

TREE = Path(__file__).resolve().parents[2]
SYSCALLS = re.compile(r"^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\t(.*)$", re.MULTILINE)
# Whatever of these the machine has: C libraries, a loader, tables among code, Go, static C.
PROGRAMS = (
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/x86_64-linux-gnu/libcrypto.so.3",
    "/lib/ld-musl-x86_64.so.1",
    "/usr/lib/x86_64-linux-musl/libc.so",
    "/usr/lib/go/bin/go",
    "/usr/bin/busybox",
    sys.executable,
)

pytestmark = pytest.mark.skipif(
    shutil.which("objdump") is None or shutil.which("cc") is None,
    reason="needs objdump (Debian package binutils) and cc (gcc)",
)


@pytest.fixture(scope="session")
def lister(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("sites") / "list"
    engines = TREE / "engines"
    sources = [
        TREE / "tests/native/preload/list.c",
        engines / "preload/insn.c",
        engines / "preload/sites.c",
        engines / "core/syscalls.c",
    ]
    include = [f"-I{engines}", f"-I{engines}/core", f"-I{engines}/core/arch/x86_64"]
    command = ["cc", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", *include]
    subprocess.run([*command, "-o", program, *sources], check=True, timeout=120)
    return program


def program_of(name: str) -> Path:
    path = Path(name).resolve()
    if not path.is_file():
        pytest.skip(f"{name}: not on this machine")
    return path


def disassemble(path: Path) -> list[tuple[int, str, str]]:
    """Address, bytes and text of each instruction."""
    words = ["objdump", "-d", "-w", "--insn-width=15", str(path)]
    text = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300).stdout
    return [(int(m[1], 16), m[2].replace(" ", ""), m[3].strip()) for m in SYSCALLS.finditer(text)]


@pytest.mark.parametrize("name", PROGRAMS)
def test_instructions_are_as_long_as_objdump_says(lister: Path, name: str) -> None:
    """Data among the code has no right answer, so what objdump finds bad is left out, and prefixes
    that it shows by themselves."""
    instructions = {
        code: text
        for _, code, text in disassemble(program_of(name))
        if "(bad)" not in text and ".byte" not in text and not re.search(r"\brex\b", text)
    }
    assert instructions
    codes = sorted(instructions)
    done = subprocess.run(
        [lister, "lengths"],
        input="\n".join(codes) + "\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    lengths = [int(line) for line in done.stdout.split()]
    assert len(lengths) == len(codes)
    wrong = [
        f"{code} {instructions[code]}: {length}"
        for code, length in zip(codes, lengths)
        if length != len(code) // 2
    ]
    # What is left was disassembled out of data: jmpw, which Intel and AMD read differently.
    assert len(wrong) <= len(codes) // 10000, "\n".join(wrong[:20])


@pytest.mark.parametrize("name", PROGRAMS)
def test_sites_are_where_objdump_shows_them(lister: Path, name: str) -> None:
    path = program_of(name)
    found = {}
    with path.open("rb") as file:
        for segment in ELFFile(file).iter_segments("PT_LOAD"):
            if not segment["p_flags"] & 1:
                continue
            where = str(segment["p_offset"]), str(segment["p_filesz"])
            words = [lister, "sites", path, *where]
            done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stderr
            for line in done.stdout.splitlines():
                offset, kind, *_ = map(int, line.split())
                found[segment["p_vaddr"] + offset] = kind
    listing = disassemble(path)
    shown = {
        address: index
        for index, (address, _, text) in enumerate(listing)
        if re.match(r"syscall|sysenter|int +\$0x80", text)
    }
    assert not set(found) - set(shown), [hex(address) for address in set(found) - set(shown)]
    missed = sorted(set(shown) - set(found))
    # In tables of constants objdump sees calls too; nothing around them deals with a number.
    assert not [address for address in missed if deals_with_rax(listing, shown[address])]


def deals_with_rax(listing: list[tuple[int, str, str]], index: int) -> bool:
    """Whether a compiler made this: the number is moved to rax, or the result is compared."""
    before = " ".join(text for _, _, text in listing[max(0, index - 3) : index])
    after = " ".join(text for _, _, text in listing[index + 1 : index + 2])
    return bool(
        re.search(r"mov +\S+,%[er]ax|xor +%eax,%eax", before)
        or re.search(r"cmp +\$0xf+\w+,%[er]ax", after)
    )
