"""Builds of whole systems, which take minutes: `make test ENVS=long`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.world import missing

sys.path.append(os.fspath(Path(__file__).resolve().parent.parent / "integration"))

from command import Udockpy

DEFINITION = """\
Bootstrap: debootstrap
OSVersion: bookworm
Include: hello
%post
    apt-get -q update
    apt-get -q install -y --no-install-recommends openssh-client
%runscript
    hello
"""


@pytest.mark.network
def test_debian_from_nothing(tmp_path: Path) -> None:
    if not os.access("/usr/sbin/debootstrap", os.X_OK):
        missing("debootstrap: not found (apt-get install debootstrap)")
    udockpy = Udockpy(tmp_path / "state", tmp_path)
    (tmp_path / "x.def").write_text(DEFINITION)
    done = udockpy("build", "made.sif", "x.def", timeout=900)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert udockpy.output("run", tmp_path / "made.sif") == "Hello, world!"
    script = "stat -c '%U:%G %a' /etc/shadow /usr/bin/ssh-agent"
    shown = udockpy.output("exec", "--root", tmp_path / "made.sif", "sh", "-c", script)
    assert shown.splitlines() == ["root:shadow 640", "root:_ssh 2755"]
