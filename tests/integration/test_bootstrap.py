"""bootstrap: a Debian sandbox, made by the host's debootstrap as pretended root."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command import Udockpy
from support.world import missing


@pytest.fixture
def maker(udockpy: Udockpy) -> Udockpy:
    if shutil.which("debootstrap", path="/usr/sbin:/usr/bin") is None:
        missing("debootstrap: not found (apt-get install debootstrap)")
    return udockpy


def test_a_sandbox_that_exists_is_left_alone(maker: Udockpy, box: Path) -> None:
    assert "it exists" in maker.refusal("bootstrap", "bookworm", box)


def test_a_mirror_that_is_none_leaves_nothing(maker: Udockpy) -> None:
    words = ("bootstrap", "--mirror", f"file://{maker.cwd}/nowhere", "bookworm", "made")
    done = maker(*words)
    assert done.returncode == 125
    assert b"debootstrap failed with status" in done.stderr
    assert list(maker.cwd.iterdir()) == []
    assert list((maker.home / "sandboxes").iterdir()) == []


@pytest.mark.network
def test_a_sandbox_is_a_system_with_its_owners(maker: Udockpy) -> None:
    done = maker("bootstrap", "bookworm", "made", timeout=900)
    assert done.returncode == 0, done.stdout.decode()[-3000:] + done.stderr.decode()[-3000:]
    shown = maker.output(
        "run",
        "--root",
        "./made",
        "stat",
        "-c",
        "%U:%G %a",
        "/etc/shadow",
        "/usr/bin/expiry",
        "/tmp",
    )
    assert shown.splitlines() == ["root:shadow 640", "root:shadow 2755", "root:root 1777"]
    assert maker.output("run", "--root", "./made", "dpkg", "--audit") == ""
    shutil.rmtree(maker.cwd / "made")
