"""The native half: its unit tests pass, and the helpers contain what they may and nothing else."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from udockpy import __version__

TREE = Path(__file__).resolve().parent.parent
MACHINE = os.uname().machine
PROGRAMS = [
    "udockpy-preload",
    "udockpy-ptrace",
    "udockpy-ptrace-i386",
    "udockpy-trap",
    "udockpy-userns",
]
HELPERS = [*PROGRAMS, "libudockpy-core.so"]
PACKAGES = {
    "make": "make",
    "cc": "gcc",
    "readelf": "binutils",
    "clang": "clang",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "qemu-aarch64": "qemu-user",
}

pytestmark = pytest.mark.skipif(MACHINE != "x86_64", reason="the helpers are built on x86_64")


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool}: not found (Debian package {PACKAGES[tool]})")


def run(*command: str | Path, timeout: float = 600) -> str:
    result = subprocess.run(
        command,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        check=False,
    )
    assert result.returncode == 0, f"{result.returncode}: {result.stdout[-8000:]}"
    return result.stdout


def make(*words: str | Path) -> str:
    need("make", "cc")
    return run("make", "-C", TREE / "engines", "-j2", *words)


@pytest.fixture(scope="session")
def builddir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("native")


@pytest.fixture(scope="session")
def libexec(builddir: Path) -> Path:
    """The helpers, built from nothing and installed."""
    make(f"BUILDDIR={builddir}/obj", f"LIBEXEC={builddir}/libexec", "install")
    return builddir / "libexec"


@pytest.fixture(params=HELPERS)
def helper(request: pytest.FixtureRequest, libexec: Path) -> Path:
    need("readelf")
    name: str = request.param
    return libexec / name


def test_exactly_the_helpers_are_installed(libexec: Path) -> None:
    assert sorted(path.name for path in libexec.iterdir()) == sorted([*HELPERS, "BUILD"])
    assert all((libexec / name).stat().st_mode & 0o777 == 0o755 for name in HELPERS)


def test_the_list_of_a_build_is_right(libexec: Path) -> None:
    first, *lines = (libexec / "BUILD").read_text().splitlines()
    assert first == f"{__version__} {os.uname().machine}"
    digests = {name: hashlib.sha256((libexec / name).read_bytes()).hexdigest() for name in HELPERS}
    assert sorted(lines) == sorted(f"{digest}  {name}" for name, digest in digests.items())


def test_a_second_build_has_nothing_to_do(builddir: Path, libexec: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (builddir / "obj").rglob("*.o")}
    assert before
    make(f"BUILDDIR={builddir}/obj", "all")
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_unit_tests_pass_plain_and_under_sanitizers(builddir: Path) -> None:
    output = make(f"BUILDDIR={builddir}/obj", "check")
    for kind in ("check", "asan"):
        ran = set(re.findall(rf"^== .*/{kind}/(test_\w+)$", output, re.MULTILINE))
        assert ran == {path.stem for path in (TREE / "tests/native").glob("*/test_*.c")}, kind
        assert ran


def test_cross_build_for_aarch64_passes_its_unit_tests(builddir: Path) -> None:
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    output = make("CROSS=aarch64", f"BUILDDIR={builddir}/aarch64", "all", "check")
    ran = set(re.findall(r"^== .*/check/(test_\w+)$", output, re.MULTILINE))
    assert ran == {path.stem for path in (TREE / "tests/native/core").glob("test_*.c")}
    assert ran
    need("readelf")
    header = run("readelf", "-h", builddir / "aarch64/udockpy-userns")
    assert "AArch64" in header


def test_fuzz_targets_survive_a_short_run(builddir: Path) -> None:
    need("clang")
    if not list(Path("/usr/lib").glob("llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*")):
        pytest.skip("libFuzzer: not found (Debian package libclang-rt-dev)")
    make(f"BUILDDIR={builddir}/obj", "fuzz")
    targets = sorted(path.stem for path in (TREE / "tests/fuzz").glob("fuzz_*.c"))
    assert targets
    for target in targets:
        run(builddir / "obj/fuzz" / target, "-max_total_time=10", "-rss_limit_mb=1024")


def test_helper_needs_no_library(helper: Path) -> None:
    dynamic = run("readelf", "--wide", "--dynamic", helper)
    assert "NEEDED" not in dynamic
    assert "RPATH" not in dynamic
    assert "RUNPATH" not in dynamic


def test_program_is_static(libexec: Path) -> None:
    need("readelf")
    for program in PROGRAMS:
        segments = run("readelf", "--wide", "--program-headers", libexec / program)
        assert "INTERP" not in segments
        assert "DYNAMIC" not in segments
        assert "EXEC (Executable file)" in segments


def test_no_symbol_is_left_to_others(builddir: Path, libexec: Path, helper: Path) -> None:
    """Also weak ones: nothing may be taken from a guest's C library."""
    for path in (helper, builddir / "obj" / helper.name):
        symbols = run("readelf", "--wide", "--symbols", path)
        undefined = re.findall(r" UND +(\S+)$", symbols, re.MULTILINE)
        assert not undefined


def test_helper_has_no_writable_code_and_no_executable_stack(helper: Path) -> None:
    segments = run("readelf", "--wide", "--program-headers", helper)
    flags = re.findall(r"^ +(LOAD|GNU_STACK) .* ([R ][W ][E ]) 0x\w+$", segments, re.MULTILINE)
    assert [kind for kind, _ in flags].count("LOAD") >= 1
    assert [kind for kind, _ in flags].count("GNU_STACK") == 1
    for kind, flag in flags:
        assert not ("W" in flag and "E" in flag), kind
        assert not (kind == "GNU_STACK" and "E" in flag)


def test_library_shows_its_exports_and_no_more(libexec: Path) -> None:
    need("readelf")
    script = (TREE / "engines/core/exports.map").read_text()
    patterns = re.findall(r"^\s*([\w*]+);", script.split("local:")[0], re.MULTILINE)
    symbols = run("readelf", "--wide", "--dyn-syms", libexec / "libudockpy-core.so")
    shown = re.findall(r"GLOBAL DEFAULT +\w+ (\w+)$", symbols, re.MULTILINE)
    assert shown
    assert [name for name in shown if not any(fnmatch(name, wanted) for wanted in patterns)] == []
    assert [wanted for wanted in patterns if not any(fnmatch(name, wanted) for name in shown)] == []


def test_helper_tells_nothing_about_the_machine_that_built_it(helper: Path, builddir: Path) -> None:
    data = helper.read_bytes()
    for text in (str(TREE), str(builddir), os.path.expanduser("~")):
        assert text == "/" or text.encode() not in data, text


def test_core_keeps_no_state(builddir: Path, libexec: Path) -> None:
    """No globals in core/: it runs in signal handlers and in vfork children."""
    need("readelf")
    objects = sorted((builddir / "obj/core").rglob("*.o"))
    assert objects
    for path in objects:
        symbols = run("readelf", "--wide", "--symbols", "--sections", path)
        sections = re.findall(r"\] \.((?:data|bss)\S*) +\S+ +\w+ +\w+ +(\w+)", symbols)
        # Constant tables with pointers in them are in .data.rel.ro.
        kept = [name for name, size in sections if int(size, 16) and "rel.ro" not in name]
        assert not kept, path.name
        assert "COMMON" not in symbols


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_refuses_bad_words(program: str, libexec: Path) -> None:
    result = subprocess.run(
        [libexec / program, "--no-such-word", "--", "/bin/true"],
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 125
    assert result.stdout == ""
    assert result.stderr.startswith("udockpy: ")
    assert "--no-such-word" in result.stderr
