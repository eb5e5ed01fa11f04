"""run, exec and shell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command import Udockpy


def test_a_command_runs_in_a_sandbox(udockpy: Udockpy, box: Path) -> None:
    assert udockpy.output("run", box, "cat", "/etc/issue") == "guest"
    assert udockpy.output("exec", box, "cat", "/etc/issue") == "guest"


def test_the_sandbox_is_not_changed_to_be_run(udockpy: Udockpy, box: Path) -> None:
    before = sorted((path, path.lstat()) for path in box.rglob("*"))
    udockpy.output("run", box, "true")
    after = sorted((path, path.lstat()) for path in box.rglob("*"))
    assert [(path, found.st_mtime_ns, found.st_ino) for path, found in before] == [
        (path, found.st_mtime_ns, found.st_ino) for path, found in after
    ]


def test_the_user_is_himself_with_his_own_files(udockpy: Udockpy, box: Path) -> None:
    (udockpy.cwd / "mine").write_text("my file\n")
    script = 'id -u; pwd; cat mine; echo "$HOME"; cat /etc/passwd | wc -l'
    own = os.fspath(udockpy.cwd)
    assert udockpy.output("run", box, "sh", "-c", script).split("\n") == [
        str(os.getuid()),
        own,
        "my file",
        own,
        "3",
    ]
    assert len((box / "etc/passwd").read_text().splitlines()) == 2


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_the_exit_status_is_the_commands(
    udockpy: Udockpy, box: Path, image: str, status: int
) -> None:
    script = ("sh", "-c", f"exit {status}")
    assert udockpy("run", box, *script).returncode == status
    assert udockpy("run", "--rm", image, *script).returncode == status


def test_streams_are_exact_and_apart(udockpy: Udockpy, box: Path) -> None:
    data = bytes(range(256)) * 1000
    done = udockpy("run", box, "sh", "-c", "cat; echo err >&2", input=data)
    assert (done.stdout, done.stderr, done.returncode) == (data, b"err\n", 0)


def test_empty_arguments_are_kept(udockpy: Udockpy, box: Path) -> None:
    assert (
        udockpy.output("run", box, "sh", "-c", 'echo "$# [$1] [$2]"', "sh", "", "a b")
        == "2 [] [a b]"
    )


def test_binds(udockpy: Udockpy, box: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("bound")
    words = (
        "run",
        "-v",
        f"{source}:/mnt/deep/in",
        "-B",
        f"{source}/file:/etc/issue:ro",
        box,
        "sh",
        "-c",
    )
    script = (
        "cat /etc/issue /mnt/deep/in/file; echo x >/mnt/deep/in/new;"
        "echo y 2>/dev/null >/etc/issue || echo ro"
    )
    assert udockpy.output(*words, script) == "boundboundro"
    assert (source / "new").read_text() == "x\n"
    assert (source / "file").read_text() == "bound"
    assert (box / "etc/issue").read_text() == "guest\n"
    assert not (box / "mnt").exists()


def test_the_environment(udockpy: Udockpy, box: Path) -> None:
    udockpy.environ["HOSTS"] = "own"
    udockpy.environ["LD_LIBRARY_PATH"] = "/nowhere"
    script = 'echo "$A,$HOSTS,${LD_LIBRARY_PATH-none},$PATH"'
    words = ("run", "-e", "A=b", "-e", "PATH=/bin:/x", box, "sh", "-c", script)
    assert udockpy.output(*words) == "b,own,none,/bin:/x"


def test_the_working_directory(udockpy: Udockpy, box: Path) -> None:
    assert udockpy.output("run", "-w", "/var/www", box, "pwd") == "/var/www"


def test_read_only(udockpy: Udockpy, box: Path) -> None:
    assert udockpy("run", "--read-only", box, "touch", "/new").returncode == 1
    assert not (box / "new").exists()


def test_a_shell_reads_its_commands(udockpy: Udockpy, box: Path) -> None:
    assert udockpy.output("shell", box, input=b"cat /etc/issue\n") == "guest"


def test_an_image_gets_a_container(udockpy: Udockpy, image: str) -> None:
    udockpy.output("run", "--name", "work", image, "touch", "/made")
    assert udockpy.output("exec", "work", "ls", "/made") == "/made"
    assert udockpy("exec", image, "ls", "/made").returncode == 1
    assert udockpy("exec", image, "touch", "/made").returncode == 1
    before = udockpy.state()
    udockpy.output("run", "--rm", image, "true")
    udockpy.output("run", "--read-only", image, "true")
    assert udockpy.state() == before


def test_a_container_that_could_not_start_is_not_kept(udockpy: Udockpy, image: str) -> None:
    before = udockpy.state()
    udockpy.refusal("run", "-v", "/nonexistent", image, "true")
    assert udockpy.state() == before


def test_a_dry_run_does_nothing_and_can_be_pasted(udockpy: Udockpy, box: Path, image: str) -> None:
    before = udockpy.state()
    line = udockpy.output("run", "--dry-run", "-w", "/var/www", box, "sh", "-c", "echo 'a  b'; pwd")
    assert (
        subprocess.run(["sh", "-c", line], stdout=subprocess.PIPE, check=True).stdout
        == b"a  b\n/var/www\n"
    )
    udockpy.output("run", "--dry-run", image, "true")
    assert udockpy.state() == before


def test_a_dry_run_as_json(udockpy: Udockpy, box: Path) -> None:
    document = json.loads(
        udockpy.output("run", "--dry-run", "--json", "-v", "/usr:/u:ro", box, "true")
    )
    assert document["engine"] in ("userns", "trap", "ptrace")
    bind = next(bind for bind in document["plan"]["binds"] if bind["target"] == "/u")
    assert (bind["source"], bind["read_only"]) == ("/usr", True)
    assert document["launch"]["argv"][-2:] == ["--", "true"]


def test_verbose_says_which_engine_and_why(udockpy: Udockpy, box: Path) -> None:
    said = udockpy("run", "--verbose", box, "true").stderr.decode()
    assert said.startswith("udockpy: engine ")
    assert f"udockpy: root {box}" in said


def test_unset_home_and_user_are_survived(udockpy: Udockpy, box: Path) -> None:
    del udockpy.environ["HOME"]
    assert udockpy.output("run", "-w", "/", box, "echo", "fine") == "fine"


def test_what_runs_is_listed_and_kept(udockpy: Udockpy, image: str) -> None:
    identifier = udockpy.output("create", "--name", "work", image)
    guest = subprocess.Popen(
        udockpy.words("run", "work", "sleep", "100"), env=udockpy.environ, cwd=udockpy.cwd
    )
    try:
        for _ in range(200):
            listed = json.loads(udockpy.output("ps", "--json"))
            if listed:
                break
            time.sleep(0.05)
        assert [(row["pid"], row["target"], row["command"]) for row in listed] == [
            (guest.pid, identifier, ["sleep", "100"])
        ]
        assert f"process {guest.pid} runs in it" in udockpy.refusal("rm", "work")
    finally:
        guest.send_signal(signal.SIGTERM)
        guest.wait()
    assert udockpy.output("ps") == "PID  ENGINE  TARGET  NAME  COMMAND"
    udockpy.output("rm", "work")
    assert udockpy.state() == ["imported/small"]


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_a_guest_can_be_ended_by_a_signal(
    udockpy: Udockpy, box: Path, tmp_path: Path, verb: str
) -> None:
    ready = udockpy.cwd / "ready"
    guest = subprocess.Popen(
        udockpy.words(verb, box, "sh", "-c", f"touch {ready}; exec sleep 100"),
        env=udockpy.environ,
        cwd=udockpy.cwd,
    )
    while not ready.exists():
        assert guest.poll() is None
        time.sleep(0.01)
    guest.send_signal(signal.SIGTERM)
    assert guest.wait() in (-signal.SIGTERM, 128 + signal.SIGTERM)
