"""SIGKILL at any moment: afterwards the store is sound, the same command succeeds, and nothing is
left over after gc. UDOCKPY_TEST_KILLS says how many there are in all (make test-kills: 300).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import Udockpy
from conftest import make_box
from support.product import text
from world.registry import Registries

KILLS = int(os.environ.get("UDOCKPY_TEST_KILLS", "60"))
COMMANDS = ("pull", "unpack", "create", "commit", "push", "rmi")
FILES = 500
NOISE = 2 << 20  # bytes that do not compress
EPOCH = "1700000000"


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory, registries: Registries) -> str:
    """An image in the registry, large enough to be killed at."""
    folder = tmp_path_factory.mktemp("big")
    box = folder / "box"
    make_box(box)
    noise = random.Random(1)
    for number in range(FILES):
        path = box / "srv" / str(number % 40) / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
    for number in range(4):
        (box / f"noise{number}").write_bytes(noise.randbytes(NOISE // 4))
    maker = Udockpy(folder / "home", folder)
    maker.output("import", box, "box")
    made = maker.output("create", "box")
    maker.output("commit", made, "big:1")
    name = f"{registries.http}/kills/big:1"
    maker.output("push", "-q", "--insecure", "big:1", name)
    return name


def change(udockpy: Udockpy, container: str) -> str:
    """Changes a third of the files of a container."""
    script = "cd /srv && for f in 1*/*; do echo changed >$f; chown 5 $f; done; rm -r 2*"
    udockpy.output("exec", "--root", container, "sh", "-c", script)
    return container


class Victim:
    """A state in which commands are killed, and what is to be true of it."""

    def __init__(self, udockpy: Udockpy, name: str) -> None:
        self.udockpy = udockpy
        self.name = name
        self.container = ""
        udockpy.environ["SOURCE_DATE_EPOCH"] = EPOCH
        udockpy.environ["UDOCKPY_INSECURE_REGISTRIES"] = name.partition("/")[0]

    def prepare(self, command: str) -> None:
        """What the command needs, and nothing of what it makes."""
        if command == "pull":
            self.udockpy("rmi", self.name)
            return
        self.udockpy.output("pull", "-q", self.name)
        if command == "unpack":
            self.udockpy.output("cache", "clean")
        if command == "commit" and not self.container:
            self.container = change(self.udockpy, self.udockpy.output("create", self.name))
        if command == "commit":
            self.udockpy("rmi", "made:1")

    def words(self, command: str) -> list[str]:
        return {
            "pull": ["pull", "-q", self.name],
            "unpack": ["exec", self.name, "/bin/true"],
            "create": ["create", self.name],
            "commit": ["commit", self.container, "made:1"],
            "push": ["push", "-q", self.name, self.name.replace("big:1", f"copy:{os.getpid()}")],
            "rmi": ["rmi", self.name],
        }[command]

    def run(self, command: str) -> float:
        """Runs the command to its end; returns how long that takes."""
        begun = time.monotonic()
        done = self.udockpy(*self.words(command))
        gone = command == "rmi" and b"no such image" in done.stderr
        assert done.returncode == 0 or gone, text(done)
        return time.monotonic() - begun

    def kill(self, command: str, after: float) -> bool:
        """Starts the command and kills it; whether it was still running."""
        with subprocess.Popen(
            self.udockpy.words(*self.words(command)),
            cwd=self.udockpy.cwd,
            env=self.udockpy.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            time.sleep(after)
            running = process.poll() is None
            if running:
                os.killpg(process.pid, signal.SIGKILL)
        return running

    def check(self) -> None:
        """The store is sound, and everything in it whole."""
        verdicts = json.loads(self.udockpy.output("verify", "--no-mend", "--json"))
        assert [verdict for verdict in verdicts if verdict["problem"]] == []

    def clean(self) -> None:
        """Frees what can be freed, and finds nothing else that nobody needs."""
        self.udockpy.output("gc")
        assert json.loads(self.udockpy.output("gc", "--json")) == []
        assert sorted(left_over(self.udockpy.home)) == []


def left_over(home: Path) -> Iterator[str]:
    """What is half made or half removed, and names that lead nowhere."""
    own = [home / name for name in ("trees", "containers", "imported", "names", "downloads")]
    for folder in (home, *own, home / "images", home / "images/blobs/sha256"):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name.startswith(".") or not path.exists():
                yield os.fspath(path)
    for folder in own[:2]:
        for path in folder.glob("[!.]*"):
            if not {"rootfs", "fakedb"} <= set(os.listdir(path)):
                yield os.fspath(path)
    yield from (os.fspath(path) for path in (home / "downloads").rglob("*"))


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_any_moment(udockpy: Udockpy, big: str, command: str) -> None:
    victim = Victim(udockpy, big)
    victim.prepare(command)
    whole = victim.run(command)
    victim.prepare(command)
    moments = random.Random(f"{command}{KILLS}")
    killed = 0
    count = max(KILLS // len(COMMANDS), 1)
    for number in range(count):
        # What was left by those before is met by those after; now and then all begins anew.
        if not victim.kill(command, whole * moments.uniform(0.2, 1)) or number % 5 == 4:
            victim.check()
            victim.prepare(command)
        else:
            killed += 1
    victim.check()
    victim.run(command)
    victim.check()
    victim.clean()
    assert killed >= count // 3, "the moments are not well chosen"
    check_result(victim, command)


def check_result(victim: Victim, command: str) -> None:
    """What the command made is right."""
    udockpy = victim.udockpy
    if command == "rmi":
        assert os.listdir(udockpy.home / "images/blobs/sha256") == []
        assert udockpy.state() == []
        return
    for row in json.loads(udockpy.output("ps", "-a", "--json")):
        assert udockpy.output("exec", row["id"], "cat", "/srv/3/43") == "43"
        udockpy.output("rm", row["id"])
    if command == "commit":
        script = "cat /srv/1/41; stat -c %u /srv/1/41; ls /srv | wc -l"
        assert udockpy.output("run", "--rm", "--root", "made:1", "sh", "-c", script).split() == [
            *("changed", "5", "29")
        ]
    if command == "push":
        copy = victim.words("push")[-1]
        udockpy.output("rmi", victim.name)
        udockpy.output("pull", "-q", copy)
        assert udockpy.output("run", "--rm", copy, "cat", "/srv/3/43") == "43"
        udockpy.output("rmi", copy)
    else:
        assert udockpy.output("verify", "--trees").count(": good") >= 1


def test_two_pulls_at_once_bring_each_blob_once(udockpy: Udockpy, big: str) -> None:
    Victim(udockpy, big)
    words = udockpy.words("pull", big)
    both = [
        subprocess.Popen(
            words,
            cwd=udockpy.cwd,
            env=udockpy.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    lines = b"".join(errors for _, errors in said).decode().splitlines()
    brought = [line for line in lines if "layer" in line and "is there" not in line]
    assert len(brought) == 1, lines


def test_sixty_four_runs_at_once(udockpy: Udockpy, image: str) -> None:
    """In one image, each in a container of its own, and nothing is left."""
    script = (
        'echo "$0" >/root/own; sleep 0.2; read back </root/own; [ "$back" = "$0" ] && echo "$0"'
    )
    processes = [
        subprocess.Popen(
            udockpy.words("run", "--rm", "--root", image, "sh", "-c", script, str(number)),
            cwd=udockpy.cwd,
            env=udockpy.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(64)
    ]
    said = [process.communicate(timeout=120) for process in processes]
    assert [output for output, _ in said] == [b"%d\n" % number for number in range(64)], said
    assert udockpy.state() == [f"imported/{image}"]
    assert udockpy.output("ps", "--json") == "[]"
    assert json.loads(udockpy.output("gc", "--json")) == []
