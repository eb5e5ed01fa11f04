"""The command udockpy with a state of its own, and a small guest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from box import BUSYBOX, make_box
from command import Udockpy
from support.world import missing
from world.registry import PROGRAMS, Registries
from zoo import Zoo


@pytest.fixture
def udockpy(tmp_path: Path) -> Udockpy:
    if os.geteuid() == 0:
        pytest.skip("udockpy is for ordinary users: runuser -u NAME -- pytest ...")
    work = tmp_path / "work"
    work.mkdir()
    return Udockpy(tmp_path / "state", work)


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A sandbox of busybox."""
    return make_box(tmp_path / "box")


@pytest.fixture
def image(udockpy: Udockpy, box: Path) -> str:
    assert udockpy.output("import", box, "small") == "small"
    return "small"


@pytest.fixture(scope="session")
def registries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            missing(f"{program}: not found (apt-get install {package})")
    made = Registries(tmp_path_factory.mktemp("registries") / "all")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory, registries: Registries) -> Zoo:
    if not os.access(BUSYBOX, os.X_OK):
        missing(f"{BUSYBOX}: not found (apt-get install busybox-static)")
    return Zoo(tmp_path_factory.mktemp("zoo"), registries, Path(BUSYBOX))
