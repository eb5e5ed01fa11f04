"""Which engine a run gets: what asks for one, what explains it, and what it costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command import Udockpy
from support.product import ENGINE_REFUSED, LOCKDOWN, text

from udockpy.container.guest import Program
from udockpy.container.plan import Identity, Plan
from udockpy.engines import ENGINES, host
from udockpy.engines.select import select
from udockpy.home import Home

# What lockdown.py can do about an engine.
FORBIDS = {"userns": "--no-userns", "trap": "--no-seccomp", "ptrace": "--no-ptrace"}


def explain(udockpy: Udockpy, *words: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(udockpy.output("run", "--explain", "--json", *words))
    return found


def test_the_default_engine_is_set_by_file_environment_and_command_line(
    udockpy: Udockpy, box: Path
) -> None:
    first = next(iter(ENGINES))
    assert explain(udockpy, box, "true")["engine"] == first
    folder = udockpy.cwd / ".config/udockpy"
    folder.mkdir(parents=True)
    (folder / "config").write_text("[udockpy]\nengine = trap\n")
    assert explain(udockpy, box, "true")["engine"] == "trap"
    udockpy.environ["UDOCKPY_ENGINE"] = "userns"
    assert explain(udockpy, box, "true")["engine"] == "userns"
    assert explain(udockpy, "--engine", "trap", box, "true")["engine"] == "trap"
    (folder / "config").write_text("[udockpy]\nengine = docker\n")
    del udockpy.environ["UDOCKPY_ENGINE"]
    said = udockpy.refusal("run", box, "true")
    assert f"docker: not one of auto, {', '.join(ENGINES)}" in said
    assert "the configuration file" in said


def test_a_container_remembers_nothing_about_engines(udockpy: Udockpy, image: str) -> None:
    udockpy.output("create", "--name", "box", image)
    for name in ("trap", "userns"):
        assert udockpy.output("run", "--root", "--engine", name, "box", "id", "-u") == "0"
    (file,) = udockpy.home.glob("containers/*/config.json")
    assert "engine" not in file.read_text()
    assert not any(name in file.read_text() for name in ENGINES)


def test_explaining_runs_nothing_and_makes_no_container(udockpy: Udockpy, image: str) -> None:
    before = udockpy.state()
    found = explain(udockpy, image, "touch", "/made")
    assert found["passed_over"] == []
    assert udockpy.state() == before


def test_what_is_passed_over_is_explained(udockpy: Udockpy, box: Path) -> None:
    found = explain(udockpy, "--root", "-v", "/usr:/mnt", box, "/mnt/bin/env")
    assert found["program"] is None
    said = udockpy.output("run", "--explain", box, "true").splitlines()
    assert said[0].startswith("engine ")
    assert said[-1].endswith("x86_64, static")


def test_a_passed_over_engine_has_a_reason_and_a_remedy(udockpy: Udockpy, box: Path) -> None:
    udockpy.prefix = (sys.executable, os.fspath(LOCKDOWN), "--no-userns", "--")
    found = explain(udockpy, box, "true")
    assert found["engine"] == "trap"
    (userns,) = found["passed_over"]
    assert userns["engine"] == "userns"
    assert "Operation not permitted" in userns["reason"]
    assert "udockpy doctor" in userns["remedy"]
    said = udockpy.output("run", "--explain", box, "true")
    assert "passed over userns: " in said
    assert "  remedy: " in said


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_fails_to_start_is_probed_anew(
    udockpy: Udockpy, box: Path, name: str
) -> None:
    """What a launch believes is removed by the helper when the node turns out to refuse it."""
    if name not in FORBIDS:
        pytest.skip(f"{name}: lockdown.py has nothing that forbids it")
    udockpy.output("run", "--engine", name, box, "true")
    words = udockpy.output("run", "--engine", name, "--dry-run", box, "true").split()
    if "--probe-memory" not in words:
        pytest.skip("a seccomp filter is in force here: nothing is remembered")
    memory = Path(words[words.index("--probe-memory") + 1])
    assert memory.read_text().startswith("yes")
    done = subprocess.run(
        [sys.executable, os.fspath(LOCKDOWN), FORBIDS[name], "--", *words],
        capture_output=True,
        check=False,
    )
    assert done.returncode == ENGINE_REFUSED, text(done)
    assert not memory.exists()


def test_a_remembered_choice_costs_less_than_a_millisecond(udockpy: Udockpy) -> None:
    home = Home(os.fspath(udockpy.home))
    plan = Plan("/rootfs", ("id",), Identity(0, 0, (0,), pretend=True), (), fakedb="/f")
    if host._surroundings(os.uname().release) is None:
        pytest.skip("a seccomp filter is in force here: every run tries anew")
    took = []
    for _ in range(50):
        start = time.perf_counter()
        select(plan, host.gather(home), Program("/bin/id", os.uname().machine), "auto")
        took.append(time.perf_counter() - start)
    assert sorted(took[1:])[len(took) // 2] < 0.001
