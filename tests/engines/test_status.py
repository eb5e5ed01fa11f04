"""Exit statuses: a guest's own, and death by a signal."""

from __future__ import annotations

import resource
import shlex
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.product import Product, text
from support.world import PROGRAMS

STOPPING = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
HARMLESS = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
RAISE = f"{PROGRAMS}/torture-musl"  # a shell would ignore some of them
DEADLY = sorted(set(range(1, 32)) - STOPPING - HARMLESS)


def status_of(status: int) -> int:
    """What a shell would show for a status of subprocess."""
    return 128 - status if status < 0 else status


def no_core() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def test_every_exit_status(engine: Product, small: Path) -> None:
    """By what the command becomes: it is execve()d, so that Python need not start 256 times."""
    shown = engine.output(small, "/bin/sh", "-c", "exit $0", "N", options=["--dry-run"])
    *words, last = shlex.split(shown)
    assert last == "N"

    def run(status: int) -> int:
        launch = [*words, str(status)]
        return subprocess.run(launch, env=engine.environment(), cwd="/", check=False).returncode

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, range(256))) == list(range(256))


@pytest.mark.reference
@pytest.mark.parametrize("options", [(), ("--root",)], ids=["user", "root"])
@pytest.mark.parametrize("status", [0, 1, 2, 122, 125, 128, 255])
def test_exit_status_of_the_command(
    engine: Product, small: Path, status: int, options: tuple[str, ...]
) -> None:
    assert engine.shell(small, f"exit {status}", options=options).returncode == status


@pytest.mark.reference
@pytest.mark.parametrize("number", DEADLY)
def test_death_by_signal(engine: Product, small: Path, number: int) -> None:
    done = engine.run(small, RAISE, "--raise", str(number), preexec_fn=no_core)
    assert status_of(done.returncode) == 128 + number, text(done)


@pytest.mark.reference
@pytest.mark.parametrize("number", [34, 64])
def test_death_by_real_time_signal(engine: Product, small: Path, number: int) -> None:
    done = engine.run(small, RAISE, "--raise", str(number))
    assert status_of(done.returncode) == 128 + number, text(done)


@pytest.mark.reference
@pytest.mark.parametrize("number", sorted(HARMLESS))
def test_signals_that_do_nothing(engine: Product, small: Path, number: int) -> None:
    assert engine.run(small, RAISE, "--raise", str(number)).returncode == 3


@pytest.mark.reference
def test_the_status_is_the_programs_not_its_childrens(engine: Product, small: Path) -> None:
    assert engine.shell(small, "(exit 9); (kill -9 $$$$ 2>/dev/null); true").returncode == 0
    assert engine.shell(small, "sh -c 'kill -TERM $$'; echo $?; exit 4").stdout == b"143\n"


@pytest.mark.reference
def test_a_child_left_behind_does_not_hold_the_command(engine: Product, small: Path) -> None:
    # The child is a program of its own when it is left: else it would still open files that the
    # test is removing.
    script = """
        sleep 30 </dev/null >/dev/null 2>&1 &
        until grep -q ^sleep /proc/$!/cmdline; do :; done
        exit 6
    """
    done = engine.shell(small, script, timeout=15)
    assert done.returncode == 6
