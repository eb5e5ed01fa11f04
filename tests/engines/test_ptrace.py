"""What is the ptrace engine's alone: its tracer, and nodes where it is the last that works."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Callable

import pytest
from conftest import product_for
from support.product import ENGINE_REFUSED, Product, text
from support.terminal import Terminal
from support.world import PROGRAMS, World, lines_by_name

# A node that leaves nothing but ptrace, and not even filters for it.
BARE = ("--no-userns", "--no-mount", "--no-seccomp")
WAIT = "echo ready; read line; exit 7"


@pytest.fixture
def ptrace(
    world: World, scratch: Path, allowed: dict[str, subprocess.CompletedProcess[bytes]]
) -> Product:
    return product_for("ptrace", world, scratch / "home", allowed)


@pytest.fixture
def bare(ptrace: Product) -> Product:
    """The engine where every system call stops."""
    return replace(ptrace, lock=BARE)


@pytest.fixture(params=[(), BARE], ids=["filtered", "bare"])
def either(request: pytest.FixtureRequest, ptrace: Product) -> Product:
    return replace(ptrace, lock=request.param)


@pytest.fixture
def guest(either: Product, small: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A guest that waits for a line."""
    pipe = subprocess.PIPE
    process = either.start(small, "/bin/sh", "-c", WAIT, stdin=pipe, stdout=pipe)
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.communicate()


def status(pid: int) -> dict[str, str]:
    """/proc/PID/status by its names; empty when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def tracer_of(pid: int) -> int:
    tracer = int(status(pid)["TracerPid"])
    assert tracer, "not traced"
    return tracer


def is_over(pid: int, seconds: float = 10) -> bool:
    """Whether the process ends soon; a zombie has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if status(pid).get("State", "Z")[0] in "ZX":
            return True
        time.sleep(0.02)
    return False


def test_the_process_that_was_started_is_the_guest_and_its_tracer_is_nobodys(
    guest: subprocess.Popen[bytes],
) -> None:
    tracer = tracer_of(guest.pid)
    assert status(tracer)["Name"] == "udockpy-tracer"
    assert status(tracer)["PPid"] not in (str(guest.pid), str(os.getpid()))
    assert os.getsid(tracer) == tracer
    assert os.listdir(f"/proc/{tracer}/fd") == []
    assert os.readlink(f"/proc/{tracer}/cwd") == "/"
    children = Path(f"/proc/{guest.pid}/task/{guest.pid}/children")
    assert children.read_text() == ""


def test_the_tracer_ends_with_its_guest(guest: subprocess.Popen[bytes]) -> None:
    tracer = tracer_of(guest.pid)
    guest.communicate(b"\n", timeout=20)
    assert guest.returncode == 7
    assert is_over(tracer)


def test_no_guest_outlives_the_tracer(guest: subprocess.Popen[bytes]) -> None:
    os.kill(tracer_of(guest.pid), signal.SIGKILL)
    assert guest.wait(timeout=20) == -signal.SIGKILL


def test_what_is_left_behind_is_still_in_its_guest(
    either: Product, sandbox: Path, scratch: Path
) -> None:
    """As under every engine, a program may outlive the first one: its calls must be caught."""
    script = (
        "(until [ -e /go ]; do sleep 0.1; done; cat /etc/issue >/found) </dev/null >/dev/null 2>&1"
        " & echo $!"
    )
    (sandbox / "etc/issue").write_text("the guest's\n")
    left = int(either.output(sandbox, "/bin/sh", "-c", script))
    tracer = tracer_of(left)
    assert not is_over(tracer, 0.3)
    (sandbox / "go").touch()
    assert is_over(left)
    assert is_over(tracer)
    assert (sandbox / "found").read_text() == "the guest's\n"


def test_the_guest_sees_no_tracer(either: Product, small: Path) -> None:
    assert either.output(small, "grep", "TracerPid", "/proc/self/status") == "TracerPid:\t0\n"


def test_a_guest_that_traces_is_told_what_to_do(
    either: Product, world: World, sandbox: Path
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace: not found (Debian package strace)")
    options = ["--bind", "/usr:/usr", "--bind", "/lib:/lib", "--bind", "/lib64:/lib64"]
    done = either.run(sandbox, strace, "/usr/bin/true", options=options)
    assert done.returncode == 1, text(done)
    assert b"Operation not permitted" in done.stderr
    assert b"udockpy: ptrace: " in done.stderr
    assert b"hint: the guest is traced already" in done.stderr


def test_from_outside_the_tracer_has_a_name(guest: subprocess.Popen[bytes]) -> None:
    """Who attaches a debugger to a guest hears that it is traced, and by whom."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace: not found (Debian package strace)")
    done = subprocess.run(
        [strace, "-p", str(guest.pid)], stderr=subprocess.PIPE, timeout=20, check=False
    )
    assert done.returncode != 0
    assert b"Operation not permitted" in done.stderr
    assert str(tracer_of(guest.pid)).encode() in done.stderr or b"attach" in done.stderr


def test_a_node_that_forbids_it_is_an_error_of_its_own(ptrace: Product, small: Path) -> None:
    done = replace(ptrace, lock=("--no-ptrace",)).run(small, "/bin/true")
    assert done.returncode == ENGINE_REFUSED
    assert done.stderr.startswith(b"udockpy: ")
    assert b"traced processes do not work here" in done.stderr
    assert b"hint: " in done.stderr


def test_a_stopped_guest_stays_stopped(guest: subprocess.Popen[bytes]) -> None:
    """Also what waits for it hears so: the tracer is not its parent."""
    for _ in range(3):
        guest.send_signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(guest.pid, os.WUNTRACED)[1])
        time.sleep(0.05)
        assert status(guest.pid)["State"][0] in "tT"
        guest.send_signal(signal.SIGCONT)
        assert os.WIFCONTINUED(os.waitpid(guest.pid, os.WCONTINUED)[1])
    guest.communicate(b"\n", timeout=20)
    assert guest.returncode == 7


def test_job_control_without_filters(bare: Product, small: Path) -> None:
    words = bare.words(small, ["/bin/sh", "-i"])
    with Terminal(words, bare.environment(PS1="$ ", ENV="")) as terminal:
        terminal.expect("$ ")
        terminal.type("PS1='# '; stty -echo\n")
        terminal.expect("# ")
        terminal.type("sleep 100\n")
        time.sleep(0.5)
        terminal.type("\x1a")
        terminal.expect("Stopped")
        terminal.type("fg\n")
        terminal.expect("sleep 100")
        time.sleep(0.3)
        terminal.type("\x03")
        terminal.expect("# ")
        terminal.type("exit 7\n")
        assert os.WEXITSTATUS(terminal.wait()) == 7


@pytest.mark.parametrize("who", ["root", "user"])
@pytest.mark.parametrize("name", ["bookworm", "musl", "static"])
def test_filters_only_save_time(
    ptrace: Product, bare: Product, world: World, name: str, who: str
) -> None:
    """The torture program says the same where every call stops."""
    options = ["--root"] if who == "root" else []
    said = []
    for product in (ptrace, bare):
        done = product.run(
            world.guest(name),
            world.torture_program(name),
            f"{PROGRAMS}/work",
            who,
            options=options,
            timeout=240,
        )
        said.append(lines_by_name(done.stdout.decode(errors="replace")))
        # What the kernel has, which is what the bare node takes away.
        del said[-1]["seccomp_filter_by_call"]
    assert said[0] == said[1]


def test_go_without_filters(bare: Product, world: World) -> None:
    done = bare.run(world.guest("static"), f"{PROGRAMS}/gostatic", options=["--root"])
    assert done.stdout.decode() == f"executable={PROGRAMS}/gostatic failures=0\n", text(done)


def test_a_package_is_installed_without_filters(
    bare: Product, world: World, own_guest: Callable[[str], Path]
) -> None:
    """apt-get, from packages that are there already."""
    deb = next(world.debs().glob("netbase_*.deb"))
    sandbox = own_guest("bookworm")
    shutil.copyfile(deb, sandbox / "root" / deb.name)
    name = deb.name.partition("_")[0]
    script = (
        f"apt-get install -y --no-install-recommends /root/{deb.name}"
        f" && dpkg-query -W -f='${{Status}}\\n' {name}"
    )
    done = bare.shell(sandbox, script, options=["--root"], timeout=120)
    assert done.stdout.endswith(b"install ok installed\n"), text(done)
