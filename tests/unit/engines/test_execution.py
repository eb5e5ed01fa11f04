"""Guests start with what they were given, and their end is passed on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = """
import sys
from udockpy.engines.execute import {function}
from udockpy.engines.interface import Launch
sys.exit({function}(Launch(tuple(sys.argv[1:]), (("A", "b"),))))
"""
BOTH = pytest.mark.parametrize("function", ["execute", "execute_and_wait"])


@pytest.fixture(autouse=True)
def default_signals() -> Iterator[None]:
    """A background job of a shell, as tests may be, ignores these, and children inherit it."""
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGQUIT)}
    for number in old:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in old.items():
        signal.signal(number, handler)


def start(function: str, *argv: str, **how: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", SCRIPT.format(function=function), *argv]
    return subprocess.Popen(words, stdout=subprocess.PIPE, **how)  # type: ignore[call-overload, no-any-return]


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    output, _ = process.communicate(timeout=30)
    # A shell shows both in the same way: killed by signal n is 128+n.
    return process.returncode % 256 if process.returncode >= 0 else 128 - process.returncode, output


@BOTH
@pytest.mark.parametrize("status", [0, 1, 125, 255])
def test_the_exit_status_is_the_guests(function: str, status: int) -> None:
    assert ended(start(function, "/bin/sh", "-c", f"exit {status}"))[0] == status


@BOTH
@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "PIPE", "XFSZ"])
def test_death_by_a_signal_is_told(function: str, name: str) -> None:
    number = getattr(signal, f"SIG{name}")
    assert (
        ended(start(function, "/bin/sh", "-c", f"ulimit -c 0; kill -{name} $$"))[0] == 128 + number
    )


@BOTH
def test_environment_and_arguments_are_exact(function: str) -> None:
    status, output = ended(
        start(function, "/bin/sh", "-c", 'echo "$#,$A,${HOME-none}"', "sh", "", "x")
    )
    assert (status, output) == (0, b"2,b,none\n")


@BOTH
def test_signals_are_not_left_ignored_or_blocked(function: str) -> None:
    _, output = ended(start(function, "/bin/grep", "-E", "SigBlk|SigIgn", "/proc/self/status"))
    blocked, ignored = (int(line.split()[1], 16) for line in output.splitlines())
    # The C library's posix_spawn ignores its own two signals, 32 and 33, for every child.
    assert (blocked, ignored & 0x7FFFFFFF) == (0, 0)


@BOTH
def test_inherited_descriptors_are_kept(function: str) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"kept\n")
    os.close(writer)
    process = start(function, "/bin/cat", f"/proc/self/fd/{reader}", pass_fds=(reader,))  # type: ignore[arg-type]
    os.close(reader)
    assert ended(process) == (0, b"kept\n")


@BOTH
@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "USR1", "WINCH"])
def test_signals_reach_the_guest(function: str, name: str, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = f"trap 'echo got; exit 9' {name}; touch {ready}; while :; do sleep 0.05; done"
    process = start(function, "/bin/sh", "-c", script)
    while not ready.exists():
        time.sleep(0.01)
    process.send_signal(getattr(signal, f"SIG{name}"))
    assert ended(process) == (9, b"got\n")


def test_a_stopped_guest_stops_its_parent_and_goes_on_with_it() -> None:
    process = start("execute_and_wait", "/bin/sh", "-c", "kill -STOP $$; exit 5")
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    process.send_signal(signal.SIGCONT)
    assert ended(process)[0] == 5


@BOTH
def test_a_helper_that_cannot_start_is_an_error(function: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(function=function), "/nonexistent/helper"],
        stderr=subprocess.PIPE,
        check=False,
    )
    assert b"HelperError: cannot run a helper: /nonexistent/helper: No such file" in process.stderr
