"""Finds what tests/world/prepare made. What is missing skips a test by name, and fails it in CI."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest

DEFAULT = "/var/tmp/udockpy-world"
PROGRAMS = "/opt/udockpy"  # where every guest keeps the test programs
TREE = Path(__file__).resolve().parent.parent.parent


def missing(reason: str) -> NoReturn:
    """A part of the test's surroundings is not there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (and in CI it must be there)", pytrace=False)
    pytest.skip(reason)


class World:
    """The directory that tests/world/prepare made."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _need(self, path: Path, what: str) -> Path:
        if not path.exists():
            missing(
                f"{what}: {path}: not there (make it, as root: tests/world/prepare {self.root})"
            )
        return path

    def guest(self, name: str) -> Path:
        """A root filesystem of the ordinary user's that many tests share: write only below
        /opt/udockpy/work."""
        return self._need(self.root / "guests" / name, f"guest {name}")

    def debs(self) -> Path:
        """Packages for bookworm, already downloaded."""
        return self._need(self.root / "debs", "package cache")

    def transcript(self, guest: str, who: str) -> dict[str, str]:
        """What the torture program printed where nothing interposes: check name -> line."""
        path = self._need(self.root / "transcripts" / f"{guest}-{who}.txt", "transcript")
        return lines_by_name(path.read_text())

    def made_by_buildah(self, context: str) -> Path:
        """What buildah made of a context in contexts.py, as skopeo's dir:."""
        return self._need(self.root / "buildah" / context, f"buildah's image {context}")

    def torture_program(self, guest: str) -> str:
        """The build of the torture program that the guest can run."""
        about: Any = json.loads(self._need(self.root / "world.json", "summary").read_text())
        return f"{PROGRAMS}/{about['torture'][guest]}"

    def rootlike(self, name: str) -> tuple[Path, Path]:
        """A script of tests/rootlike, and what it printed where nothing interposes."""
        script = self._need(self.root / "rootlike" / f"{name}.script", "script")
        return script, self._need(script.with_suffix(".txt"), "transcript")

    def tools_transcript(self) -> str:
        """What tests/guests/rootlike-tools.sh printed where nothing interposes."""
        return self._need(self.root / "rootlike" / "tools.txt", "transcript").read_text()

    def program(self, name: str) -> Path:
        """A test program, to be run without a guest."""
        return self._need(self.root / "build" / "programs" / name, f"program {name}")


def lines_by_name(text: str) -> dict[str, str]:
    """Transcript lines by the name of their check."""
    found = {}
    for line in text.splitlines():
        name = line[len("not ok ") :] if line.startswith("not ok ") else line[len("ok ") :]
        found[name.partition(":")[0]] = line
    return found


def copy_tree(source: Path, target: Path) -> None:
    """A copy with everything an ordinary user can copy, without what other tests are writing."""
    work = Path(PROGRAMS[1:], "work")
    target.mkdir()
    shutil.copystat(source, target)
    names = [f"./{path.name}" for path in source.iterdir()]
    reader = subprocess.Popen(
        ["tar", "-C", source, "--xattrs", f"--exclude=./{work}/*", "-cf", "-", *names],
        stdout=subprocess.PIPE,
    )
    subprocess.run(["tar", "-C", target, "--xattrs", "-xpf", "-"], stdin=reader.stdout, check=True)
    assert reader.stdout
    reader.stdout.close()
    assert reader.wait() == 0


def copy_with_debs(world: World, sandbox: Path) -> None:
    """A bookworm with the packages in apt's cache, so that only the lists are downloaded."""
    copy_tree(world.guest("bookworm"), sandbox)
    for deb in world.debs().glob("*.deb"):
        shutil.copyfile(deb, sandbox / "var/cache/apt/archives" / deb.name)


def remove_tree(path: Path) -> None:
    """Removes what a test made, whatever modes it left."""
    if not path.exists():
        return
    for directory, names, _ in os.walk(path):
        for name in names:
            child = os.path.join(directory, name)
            if not os.path.islink(child):
                os.chmod(child, 0o700)
    shutil.rmtree(path)
