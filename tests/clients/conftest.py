"""Workflow systems and libraries as their makers publish them, on a node where apptainer,
singularity and udocker are ours. They ask docker.io, whose mirror is on loopback.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client import Client
from support.product import IMPORTED_FROM, text
from support.world import missing

sys.path.append(os.fspath(Path(__file__).resolve().parent.parent / "integration"))

from world.registry import PROGRAMS, Registries, instead_of_docker_io, run

BUSYBOX = "/bin/busybox"
DIRECTORIES = "bin dev etc home proc root sys tmp var var/tmp usr usr/bin"
NAMES = (
    "library/debian:stable-slim",
    "library/busybox:latest",
    "library/bash:4.4",
    "library/ubuntu:20.04",
)
SECONDS = 300


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    """A registry with a small system under the names that clients ask for."""
    if os.geteuid() == 0:
        pytest.skip("udockpy is for ordinary users: runuser -u NAME -- pytest ...")
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            missing(f"{program}: not found (apt-get install {package})")
    if not os.access(BUSYBOX, os.X_OK):
        missing(f"{BUSYBOX}: not found (apt-get install busybox-static)")
    folder = tmp_path_factory.mktemp("mirror")
    made = Registries(folder / "registries")
    try:
        made.start()
        layout = make_image(folder)
        for name in NAMES:
            words = ("--insecure-policy", "copy", "-q", "--dest-tls-verify=false")
            run("skopeo", *words, f"oci:{layout}:system", f"docker://{made.http}/{name}")
        yield made
    finally:
        made.stop()


def make_image(folder: Path) -> Path:
    """An OCI layout with an image of busybox."""
    listed = subprocess.run([BUSYBOX, "--list"], capture_output=True, check=True).stdout
    tree = folder / "system.tar"
    with tarfile.open(tree, "w") as tar:
        for name in DIRECTORIES.split():
            add(tar, name, tarfile.DIRTYPE, mode=0o1777 if name.endswith("tmp") else 0o755)
        add(tar, "bin/busybox", content=Path(BUSYBOX).read_bytes(), mode=0o755)
        for applet in {*listed.decode().split()} - {"busybox"}:
            add(tar, f"bin/{applet}", tarfile.SYMTYPE, link="busybox")
        add(tar, "bin/bash", content=b'#!/bin/sh\nexec sh "$@"\n', mode=0o755)
        add(tar, "usr/bin/env", tarfile.SYMTYPE, link="../../bin/busybox")
        add(tar, "etc/passwd", content=b"root:x:0:0:root:/root:/bin/sh\n")
        add(tar, "etc/group", content=b"root:x:0:\n")
        add(tar, "etc/os-release", content=b"ID=client\n")
    layout = folder / "layout"
    image = f"{layout}:system"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", image)
    run("umoci", "raw", "add-layer", "--image", image, tree)
    words = ("--config.cmd", "/bin/sh", "--config.env", "OF_IMAGE=yes", "--architecture", "amd64")
    run("umoci", "config", "--image", image, *words)
    return layout


def add(
    tar: tarfile.TarFile,
    name: str,
    kind: bytes = tarfile.REGTYPE,
    *,
    content: bytes = b"",
    mode: int = 0o644,
    link: str = "",
) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.linkname = kind, mode, len(content), link
    tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def environ(mirror: Registries, tmp_path: Path) -> dict[str, str]:
    """The environment of a node with our drop-ins on PATH."""
    folder = tmp_path / "bin"
    words = ("drop-in", "install", "--dir", str(folder), "apptainer", "singularity", "udocker")
    how = {"env": {**os.environ, "PYTHONPATH": IMPORTED_FROM}, "capture_output": True}
    done = subprocess.run([sys.executable, "-m", "udockpy", *words], **how, check=False)
    assert done.returncode == 0, text(done)
    conf = instead_of_docker_io(tmp_path / "registries.conf", mirror.http)
    own = os.fspath(Path(sys.executable).parent)
    home = tmp_path / "home"
    home.mkdir()
    return {
        "PATH": f"{folder}:{own}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": os.fspath(home),
        "USER": os.environ.get("USER", "user"),
        "LC_ALL": "C.UTF-8",
        "UDOCKPY_HOME": os.fspath(tmp_path / "state"),
        "CONTAINERS_REGISTRIES_CONF": conf,
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture
def client(environ: dict[str, str], tmp_path: Path) -> Client:
    """Runs a client, which is installed where pytest is."""
    work = tmp_path / "work"
    work.mkdir()

    def call(name: str, *words: str | Path, **how: Any) -> subprocess.CompletedProcess[bytes]:
        program = Path(sys.executable).parent / name
        if not program.exists():
            pytest.skip(f"{name}: not installed (make test-clients)")
        how.setdefault("cwd", work)
        return subprocess.run(
            [program, *words],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            **how,
        )

    return call
