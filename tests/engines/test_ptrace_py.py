"""What is the reference tracer's alone: when it is taken, and what no path of the suite shows."""

from __future__ import annotations

import errno
import os
import signal
import struct
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import product_for
from support.product import ENGINE_REFUSED, Product, text
from support.world import World

ADDRESS = 0x400000
# getpid() by i386's number and way in; then exit() with the error it met.
INT80 = bytes.fromhex("b814000000 cd80 89c7 f7df b83c000000 0f05")


@pytest.fixture
def reference(
    world: World, scratch: Path, allowed: dict[str, subprocess.CompletedProcess[bytes]]
) -> Product:
    return product_for("ptrace-py", world, scratch / "home", allowed)


def program(code: bytes) -> bytes:
    """A static program of one segment."""
    size = 64 + 56
    header = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, ADDRESS + size, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    length = size + len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, ADDRESS, ADDRESS, length, length, 4096)
    return b"\x7fELF\2\1\1" + bytes(9) + header + segment + code


def test_calls_by_the_numbers_of_i386_are_refused(reference: Product, sandbox: Path) -> None:
    """They would be taken for others."""
    path = sandbox / "int80"
    path.write_bytes(program(INT80))
    path.chmod(0o755)
    done = reference.run(sandbox, "/int80")
    assert done.returncode == errno.ENOSYS, text(done)


def test_auto_does_not_take_it(reference: Product, small: Path) -> None:
    bare = replace(
        reference, engine="auto", lock=("--no-userns", "--no-mount", "--no-seccomp", "--no-ptrace")
    )
    done = bare.run(small, "/bin/true", options=["--explain"])
    assert b"ptrace-py" not in done.stdout + done.stderr, text(done)


def test_a_pretended_root_is_refused(reference: Product, small: Path) -> None:
    done = reference.run(small, "/bin/true", options=["--root"])
    assert done.returncode == ENGINE_REFUSED
    assert b"ptrace-py: it pretends no identity\nhint: leave out --root" in done.stderr


def test_where_tracing_is_forbidden_it_says_so(reference: Product, small: Path) -> None:
    done = replace(reference, lock=("--no-ptrace",)).run(small, "/bin/true")
    assert done.returncode == ENGINE_REFUSED
    assert done.stdout == b""
    assert done.stderr.startswith(b"udockpy: cannot trace processes here: "), text(done)
    assert done.stderr.count(b"\n") == 2


def test_nothing_outlives_the_tracer(reference: Product, small: Path) -> None:
    script = "sleep 1000 & echo $!; exec sleep 1000"
    guest = reference.start(small, "/bin/sh", "-c", script, stdout=subprocess.PIPE)
    assert guest.stdout
    pid = int(guest.stdout.readline())
    guest.send_signal(signal.SIGKILL)
    guest.communicate(timeout=20)
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{pid}")


def test_the_guest_sees_itself_in_proc(reference: Product, world: World) -> None:
    script = """
        test "$(readlink /proc/self/exe)" = /usr/bin/readlink
        test "$(readlink /proc/$$/exe)" = /usr/bin/bash
        test "$(cat /proc/self/comm)" = cat
        cd /proc/self && test "$(/bin/pwd -P)" = /proc/$$
        test "$(echo text | cat /dev/stdin)" = text
        exec 9</etc/passwd && test "$(readlink /dev/fd/9)" = /etc/passwd
    """
    done = reference.run(world.guest("bookworm"), "/bin/bash", "-e", "-c", script)
    assert (done.returncode, done.stderr) == (0, b""), text(done)
