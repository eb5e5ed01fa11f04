"""Started by the loader or by the kernel, a program sees the same arguments, auxv and /proc."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent / "loader"
MACHINE = os.uname().machine
HEADER = HERE.parents[2] / "engines/core/arch/lp64.h"
LOADER_START, LOADER_END = (
    int(number, 16)
    for number in re.findall(r"#define ARCH_LOADER_(?:START|END) (0x[0-9a-f]+)", HEADER.read_text())
)
AT_MINSIGSTKSZ = 51

pytestmark = pytest.mark.skipif(MACHINE != "x86_64", reason="the loader is tested on x86_64")

# How the probe can be built: compiler and its words.
BUILDS = {
    "dynamic": ["gcc"],
    "fixed-address": ["gcc", "-no-pie"],
    "static": ["gcc", "-static"],
    "static-pie": ["gcc", "-static-pie"],
    "musl": ["musl-gcc"],
    "musl-static": ["musl-gcc", "-static"],
    "asan": ["gcc", "-fsanitize=address"],
    "tsan": ["gcc", "-fsanitize=thread"],
    "huge-pages": ["gcc", "-Wl,-z,max-page-size=0x200000"],
    "huge-pages-fixed": ["gcc", "-static", "-Wl,-z,max-page-size=0x200000"],
    "shared-pages": ["gcc", "-Wl,-z,noseparate-code", "-Wl,-z,norelro"],
    "executable-stack": ["gcc", "-Wl,-z,execstack"],
}


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool}: not found")


def compile_or_fail(*command: str | Path) -> None:
    result = subprocess.run(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert result.returncode == 0, result.stdout


def run(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    executable: Path | None = None,
) -> tuple[int, str, str]:
    result = subprocess.run(
        command,
        env=env,
        input=stdin,
        cwd=cwd,
        pass_fds=pass_fds,
        executable=executable,
        text=True,
        errors="surrogateescape",
        capture_output=True,
        timeout=120,
        check=False,
    )
    return result.returncode, result.stdout, result.stderr


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loader")


@pytest.fixture(scope="session")
def load(work: Path) -> Path:
    need("make", "cc")
    compile_or_fail("make", "-C", HERE, f"BUILDDIR={work}")
    return work / "load"


def build_probe(work: Path, name: str) -> Path:
    command = BUILDS[name]
    need(command[0])
    path = work / f"probe-{name}"
    if not path.exists():
        compile_or_fail(*command, "-O1", "-o", path, HERE / "probe.c", "-pthread")
    return path


@pytest.fixture(scope="session")
def probe(work: Path) -> Path:
    return build_probe(work, "dynamic")


@pytest.mark.parametrize("name", BUILDS)
def test_every_kind_of_program(name: str, work: Path, load: Path) -> None:
    program = build_probe(work, name)
    env = {"A": "1", "B": "two"}
    expected = run(program, "dig", "", "x", env=env)
    assert expected[0] == 42, expected
    assert "exit function" in expected[1]
    assert run(load, program, "dig", "", "x", env=env) == expected


@pytest.mark.parametrize("n_env", range(3))
@pytest.mark.parametrize("n_args", [0, 1, 2, 3, 10000])
def test_arguments_and_environment(n_args: int, n_env: int, probe: Path, load: Path) -> None:
    """Both alignments of the stack, and no more than there is."""
    args = [f"argument-{i}" for i in range(n_args)]
    env = {f"NAME{i}": "x" * i for i in range(n_env)}
    expected = run(probe, *args, env=env)
    assert expected[0] == 42
    assert run(load, probe, *args, env=env) == expected


def test_empty_argument_list(probe: Path, load: Path) -> None:
    code, output, _ = run(load, "--no-args", probe, env={})
    assert code == 42
    assert output.startswith("argc 1\nargv \nargv NULL\n")
    assert "\n/proc/self/cmdline |\n" in output
    assert "\n/proc/self/auxv same\n" in output


@pytest.mark.parametrize("pie", ["-static", "-static-pie"])
def test_registers_are_as_after_execve(pie: str, work: Path, load: Path) -> None:
    need("cc")
    program = work / f"registers{pie}"
    compile_or_fail("cc", "-nostdlib", pie, "-o", program, HERE / "registers.S")
    for args in ([], ["one"], ["one", "two"]):
        assert run(program, *args) == (0, "", "")
        assert run(load, program, *args) == (0, "", "")


@pytest.mark.parametrize("limit", ["128", "8192", "unlimited"])
def test_stack_limits(limit: str, probe: Path, load: Path) -> None:
    script = f'ulimit -s {limit}; exec "$@"'
    expected = run("/bin/sh", "-c", script, "sh", probe, "dig", env={})
    assert expected[0] == 42
    assert run("/bin/sh", "-c", script, "sh", load, probe, "dig", env={}) == expected


def test_executable_stack(work: Path, load: Path) -> None:
    need("gcc")
    source = work / "xstack.c"
    source.write_text(
        "#include <string.h>\n"
        "int main(void) { char code[16]; memset(code, 0xc3, 16);\n"
        "  __builtin___clear_cache(code, code + 16); ((void (*)(void))code)(); return 7; }\n"
    )
    for option, code in (("execstack", 7), ("noexecstack", -11)):
        program = work / option
        compile_or_fail("gcc", "-Wl,-z," + option, "-o", program, source)
        assert run(program)[0] == code
        assert run(load, program)[0] == code


def words_of_auxv(output: str) -> dict[int, str]:
    lines = (line.split(" ", 2) for line in output.splitlines() if line.startswith("auxv "))
    return {int(line[1]): line[2] for line in lines}


def test_auxiliary_vector_is_edited(work: Path, load: Path) -> None:
    probe = build_probe(work, "static")
    before = words_of_auxv(run(load, probe, env={})[1])
    words = ["--ids", "4711", "--secure", "--sigstack", "16384"]
    code, output, _ = run(load, *words, probe, env={})
    assert code == 42
    after = words_of_auxv(output)
    changed = {key: value for key, value in after.items() if before[key] != value}
    expected = {11: "4711", 12: "4711", 13: "4711", 14: "4711", 23: "1"}
    if AT_MINSIGSTKSZ in before:
        expected[AT_MINSIGSTKSZ] = str(int(before[AT_MINSIGSTKSZ]) + 16384)
    assert changed == expected
    assert "\n/proc/self/auxv same\n" in output


def test_ld_show_auxv(load: Path) -> None:
    env = {"LD_SHOW_AUXV": "1"}
    keys = []
    for command in (["/bin/true"], [load, "/bin/true"]):
        code, output, _ = run(*command, env=env)
        assert code == 0
        keys.append([line.split(":")[0] for line in output.splitlines()])
        assert "AT_EXECFN:            /bin/true" in output
    assert keys[0]
    assert keys[0] == keys[1]


def test_strings_that_lie_elsewhere(probe: Path, load: Path) -> None:
    env = {"FIRST": "1", "SECOND": "2"}
    code, output, _ = run(load, "--env", "ADDED=x", probe, env=env)
    assert code == 42
    assert "\n/proc/self/environ ADDED=x|SECOND=2|\n" in output


@pytest.mark.parametrize(
    "line",
    ["{probe}", "{probe} -x  y ", "/usr/bin/env {probe}", "{nested}", "{nested} more"],
)
def test_scripts(line: str, work: Path, probe: Path, load: Path) -> None:
    nested = work / "nested"
    nested.write_text(f"#!{probe} nested\n")
    nested.chmod(0o755)
    script = work / "a-script-with-a-long-name"
    script.write_text("#!" + line.format(probe=probe, nested=nested) + "\n")
    script.chmod(0o755)
    for cwd, name in ((None, str(script)), (work, f"./{script.name}")):
        expected = run(name, "one", "", env={"A": "b"}, cwd=cwd)
        assert expected[0] == 42
        assert run(load, name, "one", "", env={"A": "b"}, cwd=cwd) == expected


def test_descriptors(work: Path, probe: Path, load: Path) -> None:
    fd = os.open(probe, os.O_RDONLY)
    try:
        code, output, _ = run(load, "--at", str(fd), "", "x", env={}, pass_fds=[fd])
    finally:
        os.close(fd)
    assert code == 42
    assert words_of_auxv(output)[31] == f"/dev/fd/{fd}"


def test_no_descriptor_is_left_open(load: Path) -> None:
    command = ["/bin/ls", "/proc/self/fd"]
    assert run(load, *command) == run(*command)


PROGRAMS = {
    "sh": ["/bin/sh", "-c", 'echo "$0 $1"; cat /etc/hostname; exit 3', "zero", "one"],
    "python": [sys.executable, "-c", "import threading, ssl, sys; print(sys.argv)", "a"],
    "perl": ["/usr/bin/perl", "-e", 'print "@ARGV\n"; exit 9', "a", "b c"],
    "busybox": ["/bin/busybox", "echo", "hello"],
    "env": ["/usr/bin/env"],
    "ld.so": ["/lib64/ld-linux-x86-64.so.2", "/bin/echo", "by hand"],
    "cc": ["/usr/bin/gcc", "-E", "-dM", "-x", "c", "/dev/null"],
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_of_the_host(name: str, load: Path) -> None:
    command = PROGRAMS[name]
    need(command[0])
    expected = run(*command)
    assert run(load, *command) == expected
    assert expected[1]


def test_go_program(work: Path, load: Path) -> None:
    need("go")
    source = work / "hello.go"
    source.write_text(
        'package main\nimport ("fmt"; "os"; "sync")\nfunc main() {\n'
        "  var group sync.WaitGroup\n"
        '  for i := 0; i < 64; i++ { group.Add(1); go func() { os.Stat("/"); group.Done() }() }\n'
        "  group.Wait(); fmt.Println(len(os.Args)); os.Exit(5)\n}\n"
    )
    program = work / "hello"
    cache = {"GOCACHE": str(work / "go"), "HOME": str(work), "GO111MODULE": "off"}
    result = subprocess.run(
        ["go", "build", "-o", program, source],
        env={**os.environ, **cache},
        text=True,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for _ in range(5):
        assert run(load, program, "x") == (5, "2\n", "")
    assert "\nflags 1\n" in run(load, "--plan", program)[1]


def test_fixed_address_that_is_the_loaders_is_refused(work: Path, load: Path) -> None:
    need("cc")
    for start in (LOADER_START - 0x1000, LOADER_START, LOADER_END - 0x1000):
        program = work / f"at-{start:x}"
        compile_or_fail(
            *("cc", "-nostdlib", "-static", f"-Wl,-Ttext-segment={start:#x}"),
            *("-o", program, HERE / "registers.S"),
        )
        assert run(program)[0] == 0
        code, output, errors = run(load, program)
        assert (code, output) == (125, "")
        assert errors == f"load: {program}: -12 machine 62\n"


def test_unusual_fixed_addresses(work: Path, load: Path) -> None:
    need("cc")
    for start in (0x10000, 0x555555554000, LOADER_START - 0x100000, LOADER_END):
        program = work / f"at-{start:x}"
        compile_or_fail(
            *("cc", "-nostdlib", "-static", f"-Wl,-Ttext-segment={start:#x}"),
            *("-o", program, HERE / "registers.S"),
        )
        assert run(load, program) == (0, "", "")


def test_position_independent_programs_are_randomised(probe: Path, load: Path) -> None:
    seen = {run(load, "--debug", probe)[2] for _ in range(4)}
    assert len(seen) == 4
    assert all(line.startswith("loader: exe 0000") for line in seen)


def test_malformed_programs_are_refused(work: Path, load: Path) -> None:
    good = (work / "registers-static").read_bytes()
    program = work / "malformed"
    # no PT_LOAD: every program header becomes PT_NULL
    count = int.from_bytes(good[56:58], "little")
    empty = bytearray(good)
    for i in range(count):
        empty[64 + 56 * i : 68 + 56 * i] = bytes(4)
    # more bytes in the file than in memory
    inverted = bytearray(good)
    inverted[64 + 40 : 64 + 48] = bytes(8)
    inverted[64 + 40] = 1
    for data in (empty, inverted):
        program.write_bytes(data)
        program.chmod(0o755)
        code, output, errors = run(load, program)
        assert (code, output) == (125, "")
        assert errors == f"load: {program}: -8 machine 62\n"
