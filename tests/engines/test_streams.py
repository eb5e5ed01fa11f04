"""Standard streams and arguments pass through every engine unchanged."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest
from support.product import Product, text

GIB = 1 << 30
LEAST_SPEED = 20 << 20  # bytes a second: far below any pipe, far above a byte at a time


def test_a_gibibyte_through_cat(engine: Product, small: Path) -> None:
    source = ["head", "-c", str(GIB), "/dev/zero"]
    count = ["wc", "-c"]
    began = time.monotonic()
    with (
        subprocess.Popen(source, stdout=subprocess.PIPE) as head,
        engine.start(small, "/bin/cat", stdin=head.stdout, stdout=subprocess.PIPE) as guest,
    ):
        counted = subprocess.run(
            count, stdin=guest.stdout, stdout=subprocess.PIPE, check=True, timeout=120
        )
        assert guest.wait(30) == 0
    assert int(counted.stdout) == GIB
    assert GIB / (time.monotonic() - began) > LEAST_SPEED


@pytest.mark.reference
def test_binary_input_comes_back(engine: Product, small: Path) -> None:
    data = bytes(range(256)) * 4096 + os.urandom(100_000)
    done = engine.run(small, "/bin/cat", input=data)
    assert done.returncode == 0, text(done)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert done.stderr == b""


@pytest.mark.reference
def test_the_two_outputs_stay_apart(engine: Product, small: Path) -> None:
    done = engine.shell(small, r"printf 'out\0\377'; printf 'err\0\376' >&2; printf more")
    assert done.returncode == 0
    assert (done.stdout, done.stderr) == (b"out\0\xffmore", b"err\0\xfe")


@pytest.mark.reference
def test_arguments_arrive_as_they_are(engine: Product, small: Path) -> None:
    words = [
        "",
        "a b",
        "",
        "-n",
        "--engine",
        "--",
        "$HOME",
        "*",
        "new\nline",
        "'\"\\",
        "ü",
        "=",
        "",
    ]
    done = engine.run(
        small, "/bin/sh", "-c", 'for word; do printf "%s\\0" "$word"; done', "sh", *words
    )
    assert done.returncode == 0, text(done)
    assert done.stdout.decode().split("\0")[:-1] == words


@pytest.mark.reference
def test_an_argument_that_is_not_text_arrives(engine: Product, small: Path) -> None:
    word = os.fsdecode(b"\xff\xfe bytes")
    done = engine.run(small, "/bin/printf", "%s", word)
    assert done.stdout == b"\xff\xfe bytes", text(done)


@pytest.mark.reference
def test_a_closed_standard_input_stays_closed(engine: Product, small: Path) -> None:
    words = engine.words(
        small, ["/bin/sh", "-c", "[ -e /proc/self/fd/0 ] && ls -l /proc/self/fd/0; echo done"]
    )
    script = 'exec 0<&-; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *words],
        cwd="/",
        env=engine.environment(),
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.endswith(b"done\n")


@pytest.mark.reference
def test_the_reader_may_leave_early(engine: Product, small: Path) -> None:
    guest = engine.start(small, "/bin/yes", stdout=subprocess.PIPE)
    assert guest.stdout
    assert guest.stdout.read(4) == b"y\ny\n"
    guest.stdout.close()
    # As without a container: death by SIGPIPE, or the status that yes gives a failed write.
    native = subprocess.Popen(["busybox", "yes"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert native.stdout
    native.stdout.read(4)
    native.stdout.close()
    expected = native.wait(30)
    assert guest.wait(30) in (expected, 128 - expected if expected < 0 else expected)


@pytest.mark.reference
def test_output_of_a_full_device_is_an_error(engine: Product, small: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = engine.run(small, "/bin/echo", "x", stdout=full)
    assert done.returncode == 1
    assert b"space" in done.stderr
