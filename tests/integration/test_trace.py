"""udockpy trace: what a guest asks of the system, and where its paths lead."""

from __future__ import annotations

import importlib.util
import re
import signal
from pathlib import Path

import pytest
from command import Udockpy
from support.product import text
from support.world import missing

pytestmark = pytest.mark.usefixtures("python_ptrace")


@pytest.fixture
def python_ptrace() -> None:
    if importlib.util.find_spec("ptrace") is None:
        missing("python-ptrace: not installed (pip install 'udockpy[trace]')")


def test_paths_of_guest_and_host_and_the_result(udockpy: Udockpy, box: Path) -> None:
    done = udockpy("trace", "-e", "%file", box, "cat", "/etc/issue", "/etc/absent")
    assert (done.returncode, done.stdout) == (1, b"guest\n"), text(done)
    said = done.stderr.decode()
    assert re.search(rf'^\[\d+\] execve\("/bin/cat" -> "{box}/bin/busybox", .*\) = 0$', said, re.M)
    assert re.search(rf'"/etc/issue" -> "{box}/etc/issue", \d+.*\) = 3$', said, re.M)
    absent = (
        rf'"/etc/absent" -> "{box}/etc/absent", .*\) = -1 ENOENT \(No such file or directory\)$'
    )
    assert re.search(absent, said, re.M)


def test_calls_by_name_into_a_file(udockpy: Udockpy, box: Path) -> None:
    script = "cd /var; mkdir www/new; mkdir /etc/issue/x; true"
    words = ["trace", "-e", "chdir,mkdir", "-o", "calls", box, "sh", "-c", script]
    done = udockpy(*words)
    assert done.returncode == 0, text(done)
    assert b"mkdir(" not in done.stderr
    lines = [line.partition("] ")[2] for line in (udockpy.cwd / "calls").read_text().splitlines()]
    assert lines == [
        f'chdir("/var" -> "{box}/var") = 0',
        f'mkdir("www/new" -> "{box}/var/www/new", 511) = 0',
        f'mkdir("/etc/issue/x" -> "{box}/etc/issue/x", 511) = -1 ENOTDIR (Not a directory)',
    ]


def test_every_call_of_every_process(udockpy: Udockpy, box: Path) -> None:
    done = udockpy("trace", "-o", "calls", box, "sh", "-c", "sleep 0; exec id -u")
    assert done.returncode == 0, text(done)
    lines = (udockpy.cwd / "calls").read_text().splitlines()
    assert all(re.fullmatch(r"\[\d+\] \w+\(.*\) = -?\w+( \w+ \(.*\))?", line) for line in lines)
    assert len({line.partition("]")[0] for line in lines}) == 2
    assert {"mmap", "write", "getuid"} & {line.split()[1].partition("(")[0] for line in lines}


def test_the_command_ends_as_it_did(udockpy: Udockpy, box: Path) -> None:
    for script, status in (("exit 7", 7), ("kill -TERM $$", -signal.SIGTERM)):
        done = udockpy("trace", "-e", "chdir", box, "sh", "-c", script)
        assert (done.returncode, done.stderr) == (status, b""), text(done)


def test_binds_are_shown_as_the_hosts(udockpy: Udockpy, box: Path) -> None:
    (udockpy.cwd / "given").mkdir()
    done = udockpy(
        "trace",
        "-e",
        "mkdir",
        "-B",
        "given:/mnt",
        box,
        "mkdir",
        "/mnt/here",
    )
    assert done.returncode == 0, text(done)
    assert f'mkdir("/mnt/here" -> "{udockpy.cwd}/given/here", ' in done.stderr.decode()
    assert (udockpy.cwd / "given" / "here").is_dir()


def test_mistakes_are_told(udockpy: Udockpy, box: Path) -> None:
    said = udockpy.refusal("trace", "-e", "open,opened", box, "true")
    assert said.startswith("udockpy: no such system call: opened\nhint: ")
    said = udockpy.refusal("trace", "-o", "/nowhere/file", box, "true")
    assert said == "udockpy: cannot write: /nowhere/file: No such file or directory\n"
    assert "--root" in udockpy.refusal("trace", "--root", box, "true")
