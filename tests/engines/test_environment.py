"""What a guest is born with: variables, descriptors, limits, directory."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

import pytest
from support.product import FAILED, NOT_EXECUTABLE, Product, text

pytestmark = pytest.mark.reference


def variables(done: subprocess.CompletedProcess[bytes]) -> dict[str, str]:
    assert done.returncode == 0, text(done)
    return dict(line.split("=", 1) for line in done.stdout.decode().splitlines() if "=" in line)


@pytest.mark.parametrize("options", [(), ("--root",)], ids=["user", "root"])
@pytest.mark.parametrize("name", ["HOME", "USER", "PATH", "SHELL", "LOGNAME", "TERM"])
def test_any_variable_may_be_unset(
    engine: Product, small: Path, name: str, options: tuple[str, ...]
) -> None:
    environ = engine.environment()
    environ.pop(name, None)
    done = engine.shell(small, "echo alive", environ=environ, options=options)
    assert (done.returncode, done.stdout) == (0, b"alive\n"), text(done)


def test_an_empty_environment_is_survived(engine: Product, small: Path) -> None:
    done = engine.run(
        small,
        "/bin/echo",
        "alive",
        environ={
            "PYTHONPATH": engine.environment()["PYTHONPATH"],
            "UDOCKPY_HOME": str(engine.home),
        },
    )
    assert (done.returncode, done.stdout) == (0, b"alive\n"), text(done)


def test_variables_given_with_options(engine: Product, small: Path, scratch: Path) -> None:
    file = scratch / "variables"
    file.write_text("# comment\nFROM_FILE=file value\nBOTH=file\n\n")
    done = engine.run(
        small,
        "/bin/env",
        options=[
            "-e",
            "GIVEN=a=b c",
            "-e",
            "PASSED",
            "-e",
            "BOTH=option",
            "-e",
            "EMPTY=",
            "--env-file",
            str(file),
        ],
        environ=engine.environment(PASSED="from the host"),
    )
    seen = variables(done)
    assert seen["GIVEN"] == "a=b c"
    assert seen["PASSED"] == "from the host"
    assert seen["FROM_FILE"] == "file value"
    assert seen["BOTH"] == "option"
    assert seen["EMPTY"] == ""


def test_nothing_of_ours_is_left_in_it(engine: Product, small: Path) -> None:
    seen = variables(engine.run(small, "/bin/env"))
    for name in seen:
        assert not name.startswith(("UDOCKPY_", "LD_", "PYTHON")) or name in engine.environment()
    assert "LD_PRELOAD" not in seen


@pytest.mark.parametrize("word", ["=x", "", "="])
def test_bad_variables_are_refused_clearly(engine: Product, small: Path, word: str) -> None:
    done = engine.run(small, "/bin/env", options=["-e", word])
    assert done.returncode == FAILED, text(done)
    assert done.stderr.startswith(b"udockpy: ")


def test_inherited_descriptors_are_kept(engine: Product, small: Path) -> None:
    read, write = os.pipe()
    high = 200
    os.dup2(write, high, inheritable=True)
    try:
        done = engine.shell(small, f"echo through >&{high}; ls /proc/self/fd", pass_fds=(high,))
    finally:
        os.close(write)
        os.close(high)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "through\n"
    assert str(high) in done.stdout.decode().split()


def test_no_descriptor_of_ours_is_left(engine: Product, small: Path) -> None:
    """Only the standard ones, and ls's own."""
    done = engine.run(small, "/bin/ls", "/proc/self/fd")
    assert done.stdout.decode().split() == ["0", "1", "2", "3"], text(done)


def test_limits_are_inherited(engine: Product, small: Path) -> None:
    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, 4 << 20))

    done = engine.shell(small, "ulimit -n; ulimit -Hn; ulimit -s; ulimit -Hs", preexec_fn=lower)
    assert done.stdout.split() == [b"512", b"512", b"1024", b"4096"], text(done)


@pytest.mark.parametrize("stack", [256 << 10, resource.RLIM_INFINITY])
def test_odd_stack_limits(engine: Product, small: Path, stack: int) -> None:
    def set_stack() -> None:
        hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
        resource.setrlimit(resource.RLIMIT_STACK, (stack, hard))

    done = engine.shell(small, "ls /bin | wc -l", preexec_fn=set_stack)
    assert done.returncode == 0, text(done)
    assert int(done.stdout) > 30, text(done)


def test_umask_is_inherited(engine: Product, small: Path) -> None:
    words = engine.words(small, ["/bin/sh", "-c", "umask"])
    done = subprocess.run(
        ["sh", "-c", 'umask 027; exec "$@"', "sh", *words],
        cwd="/",
        env=engine.environment(),
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert done.stdout == b"0027\n"


def test_working_directory(engine: Product, small: Path) -> None:
    assert engine.run(small, "/bin/pwd").stdout == b"/\n"
    assert engine.run(small, "/bin/pwd", options=["--workdir", "/usr/bin"]).stdout == b"/usr/bin\n"
    done = engine.run(small, "/bin/pwd", options=["--workdir", "/nonexistent"])
    assert done.returncode == NOT_EXECUTABLE, text(done)  # as podman has it
    assert done.stderr.startswith(b"udockpy: cannot enter the working directory: /nonexistent: ")
    assert b"\nhint: " in done.stderr


def test_started_from_a_directory_that_is_gone(engine: Product, small: Path, scratch: Path) -> None:
    gone = scratch / "gone"
    gone.mkdir()
    words = engine.words(small, ["/bin/echo", "alive"])
    done = subprocess.run(
        ["sh", "-c", f'cd "{gone}"; rmdir "{gone}"; exec "$@"', "sh", *words],
        cwd="/",
        env=engine.environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"alive\n"), text(done)


def test_a_large_environment(engine: Product, small: Path) -> None:
    more = {f"VARIABLE_{number}": "x" * 1000 for number in range(900)}
    options = [word for name in more for word in ("-e", name)][:400]
    done = engine.run(small, "/bin/env", environ=engine.environment(**more), options=options)
    seen = variables(done)
    assert sum(name.startswith("VARIABLE_") for name in seen) >= 200
