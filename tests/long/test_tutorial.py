"""docs/tutorial/apptainer.md: every command of it is typed, and does what the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.product import IMPORTED_FROM
from support.world import TREE, World

sys.path.append(os.fspath(Path(__file__).resolve().parent.parent / "integration"))

from command import Udockpy
from support.world import missing
from world.registry import PROGRAMS, Registries, instead_of_docker_io, run

PAGE = TREE / "docs/tutorial/apptainer.md"
FILE = re.compile(
    r"^```\{code-block\} \S+\n:caption: (\S+)\n\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 600
ANY = "..."  # in a line: any text; alone in a line: any lines


def typed() -> Iterator[tuple[str, list[str]]]:
    """Each command, and what the page says it prints."""
    for block in CONSOLE.findall(PAGE.read_text()):
        command, said = "", []
        for line in block.splitlines():
            if line.startswith("$ "):
                if command:
                    yield command, said
                command, said = line[2:], []
            else:
                said.append(line)
        yield command, said


@pytest.fixture(scope="module")
def registries(tmp_path_factory: pytest.TempPathFactory, world: World) -> Iterator[Registries]:
    """A mirror of docker.io with debian:bookworm."""
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            missing(f"{program}: not found (apt-get install {package})")
    folder = tmp_path_factory.mktemp("debian")
    made = Registries(folder / "registries")
    try:
        made.start()
        udockpy = Udockpy(folder / "state", folder)
        tree = folder / "debian.tar"
        done = udockpy("export", world.guest("bookworm"), "-o", tree, timeout=SECONDS)
        assert done.returncode == 0, done.stderr.decode()
        layout = folder / "layout"
        run("umoci", "init", "--layout", layout)
        run("umoci", "new", "--image", f"{layout}:debian")
        run("umoci", "raw", "add-layer", "--image", f"{layout}:debian", tree)
        config = ("--config.cmd", "bash", "--architecture", "amd64")
        run("umoci", "config", "--image", f"{layout}:debian", *config)
        words = ("--insecure-policy", "copy", "-q", "--dest-tls-verify=false")
        target = f"docker://{made.http}/library/debian:bookworm"
        run("skopeo", *words, f"oci:{layout}:debian", target)
        yield made
    finally:
        made.stop()


@pytest.mark.network
def test_the_tutorial(registries: Registries, tmp_path: Path) -> None:
    work, folder = tmp_path / "work", tmp_path / "bin"
    work.mkdir()
    folder.mkdir()
    (tmp_path / "home").mkdir()
    for name, content in FILE.findall(PAGE.read_text()):
        (work / name).write_text(content)
    udockpy = folder / "udockpy"
    udockpy.write_text(f'#!/bin/sh\nexec {sys.executable} -m udockpy "$@"\n')
    udockpy.chmod(0o755)
    conf = instead_of_docker_io(tmp_path / "registries.conf", registries.http)
    environ = {
        "PATH": f"{tmp_path}/home/.local/bin:{folder}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": f"{tmp_path}/home",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": IMPORTED_FROM,
        "PYTHONDONTWRITEBYTECODE": "1",
        "UDOCKPY_HOME": f"{tmp_path}/state",
        "CONTAINERS_REGISTRIES_CONF": conf,
    }
    for command, said in typed():
        done = subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=work,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
        output = done.stdout.decode(errors="replace")
        fails = any(line.startswith("FATAL") for line in said)
        assert (done.returncode != 0) == fails, f"$ {command}\n{output[-3000:]}"
        assert matches(output.splitlines(), said), f"$ {command}\n{output[-3000:]}"


def matches(lines: list[str], said: list[str]) -> bool:
    """Whether lines are what the page says."""
    if not said:
        return not lines
    if said[0] == ANY:
        return any(matches(lines[start:], said[1:]) for start in range(len(lines) + 1))
    pattern = re.escape(said[0]).replace(re.escape(ANY), ".*")
    return bool(lines) and bool(re.fullmatch(pattern, lines[0])) and matches(lines[1:], said[1:])


@pytest.mark.parametrize(
    ("lines", "said", "same"),
    [
        ([], [], True),
        (["a"], [], False),
        (["a", "b", "c"], ["a", "...", "c"], True),
        (["a", "b"], ["...", "c"], False),
        (["Python 3.11"], ["Python 3..."], True),
        (["Python 2.7"], ["Python 3..."], False),
    ],
)
def test_pages_are_compared_line_by_line(lines: list[str], said: list[str], *, same: bool) -> None:
    assert matches(lines, said) is same
