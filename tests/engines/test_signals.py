"""Signals and the terminal reach the guest as if nothing stood between."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.product import Product
from support.terminal import Terminal

pytestmark = pytest.mark.reference

FORWARDED = [
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGWINCH,
    signal.SIGUSR1,
    signal.SIGQUIT,
]


def ready(guest: subprocess.Popen[bytes]) -> None:
    assert guest.stdout
    assert guest.stdout.readline() == b"ready\n"


@pytest.mark.parametrize("number", FORWARDED)
def test_a_handler_in_the_guest_gets_it(
    engine: Product, small: Path, number: signal.Signals
) -> None:
    name = number.name[3:]
    script = f"trap 'echo got {name}; exit 5' {name}; echo ready; while :; do sleep 0.05; done"
    guest = engine.start(small, "/bin/sh", "-c", script, stdout=subprocess.PIPE)
    ready(guest)
    guest.send_signal(number)
    output, _ = guest.communicate(timeout=20)
    assert (output, guest.returncode) == (f"got {name}\n".encode(), 5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_without_a_handler_it_ends_the_guest(
    engine: Product, small: Path, number: signal.Signals
) -> None:
    guest = engine.start(
        small, "/bin/sh", "-c", "echo ready; exec sleep 60", stdout=subprocess.PIPE
    )
    ready(guest)
    guest.send_signal(number)
    output, _ = guest.communicate(
        timeout=20
    )  # its output ends too: no process of the guest lives on
    assert output == b""
    assert guest.returncode in (-number, 128 + number)


def test_ignored_signals_stay_ignored(engine: Product, small: Path) -> None:
    words = engine.words(small, ["/bin/sh", "-c", "kill -HUP $$; kill -INT $$; echo alive"])
    done = subprocess.run(
        ["sh", "-c", 'trap "" HUP INT; exec "$@"', "sh", *words],
        cwd="/",
        env=engine.environment(),
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"alive\n")


def test_python_leaves_no_ignored_signals_behind(engine: Product, small: Path) -> None:
    """Python ignores SIGPIPE and SIGXFSZ; a guest must not inherit that."""
    words = ["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"]
    native = subprocess.run(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True)
    assert engine.run(small, *words).stdout == native.stdout


def test_stopped_and_continued(engine: Product, small: Path) -> None:
    script = "echo ready; while :; do echo tick; sleep 0.05; done"
    guest = engine.start(
        small, "/bin/sh", "-c", script, stdout=subprocess.PIPE, start_new_session=True
    )
    ready(guest)
    os.killpg(guest.pid, signal.SIGSTOP)
    pid, status = os.waitpid(guest.pid, os.WUNTRACED)
    assert (pid, os.WIFSTOPPED(status)) == (guest.pid, True)
    os.killpg(guest.pid, signal.SIGCONT)
    time.sleep(0.2)
    os.killpg(guest.pid, signal.SIGTERM)
    output, _ = guest.communicate(timeout=20)
    assert b"tick\n" in output
    assert guest.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)


def test_job_control(engine: Product, small: Path) -> None:
    words = engine.words(small, ["/bin/sh", "-i"])
    with Terminal(words, engine.environment(PS1="$ ", ENV="")) as terminal:
        terminal.expect("$ ")
        terminal.type("PS1='# '; stty -echo\n")
        terminal.expect("# ")
        terminal.type("tty; echo ok-$?\n")
        assert "/dev/pts/" in terminal.expect("ok-0")
        terminal.type("sleep 100\n")
        time.sleep(0.5)
        terminal.type("\x1a")  # Ctrl-Z
        terminal.expect("Stopped")
        terminal.type("jobs; echo listed\n")
        assert "sleep 100" in terminal.expect("listed")
        terminal.type("fg\n")
        terminal.expect("sleep 100")
        time.sleep(0.3)
        terminal.type("\x03")  # Ctrl-C
        terminal.expect("# ")
        terminal.type("echo status-$?\n")
        terminal.expect("status-130")
        terminal.type("exit 7\n")
        assert os.WEXITSTATUS(terminal.wait()) == 7


def test_the_shell_outside_can_stop_and_continue_the_guest(engine: Product, small: Path) -> None:
    with Terminal(["/bin/busybox", "sh", "-i"], engine.environment(PS1="$ ", ENV="")) as terminal:
        terminal.expect("$ ")
        command = " ".join(f"'{word}'" for word in engine.words(small, ["/bin/cat"]))
        terminal.type(f"PS1='# '; stty -echo; {command}\n")
        time.sleep(0.7)
        terminal.type("one\n")
        terminal.expect("one")
        terminal.type("\x1a")
        terminal.expect("Stopped")
        terminal.type("fg\n")
        time.sleep(0.3)
        terminal.type("two\n")
        terminal.expect("two")
        terminal.type("\x04")  # end of file
        terminal.expect("# ")
        terminal.type("echo status-$?\n")
        terminal.expect("status-0")


def test_window_size(engine: Product, small: Path) -> None:
    script = "trap 'stty size' WINCH; stty size; echo ready; while :; do sleep 0.05; done"
    with Terminal(engine.words(small, ["/bin/sh", "-c", script]), engine.environment()) as terminal:
        terminal.expect("ready")
        terminal.resize(33, 77)
        terminal.expect("33 77")
        terminal.type("\x03")
        status = terminal.wait()
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status) - 128
        assert number == signal.SIGINT


def test_hang_up_ends_the_guest(engine: Product, small: Path) -> None:
    terminal = Terminal(
        engine.words(small, ["/bin/sh", "-c", "echo ready; exec sleep 60"]), engine.environment()
    )
    terminal.expect("ready")
    os.close(terminal.fd)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        pid, status = os.waitpid(terminal.pid, os.WNOHANG)
        if pid:
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status) - 128
            assert number == signal.SIGHUP
            return
        time.sleep(0.05)
    os.kill(terminal.pid, signal.SIGKILL)
    os.waitpid(terminal.pid, 0)
    raise AssertionError("the guest outlived its terminal")
