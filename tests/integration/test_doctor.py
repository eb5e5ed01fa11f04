"""doctor tells the truth on nodes that forbid things, and a run finds its way there."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from command import Udockpy
from support.nodes import NODES, NOTHING, TRANSLATORS, Node
from support.product import ENGINE_REFUSED, text
from support.world import missing

from udockpy import native
from udockpy.engines import ENGINES


@pytest.fixture
def tmp_path(scratch: Path) -> Path:
    """Not below /tmp, which a node may have mounted noexec."""
    return scratch


@pytest.fixture(params=NODES.values(), ids=list(NODES))
def node(request: pytest.FixtureRequest, udockpy: Udockpy) -> Node:
    """Locks the product into a node."""
    chosen: Node = request.param
    enter(udockpy, *chosen.words(udockpy.cwd))
    return chosen


def enter(udockpy: Udockpy, *lock: str) -> None:
    udockpy.prefix = Node(lock, {}).prefix(udockpy.cwd)
    done = subprocess.run([*udockpy.prefix, "true"], capture_output=True, check=False)
    if done.returncode != 0:
        missing(f"lockdown {' '.join(lock)}: {text(done)}")


def report(udockpy: Udockpy, status: int = 0) -> dict[str, Any]:
    done = udockpy("doctor", "--json")
    assert (done.returncode, done.stderr) == (status, b""), text(done)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_doctor_tells_what_the_node_forbids(udockpy: Udockpy, node: Node) -> None:
    allowed = {name for name in ENGINES if name not in node.forbids}
    found = report(udockpy, 0 if allowed else ENGINE_REFUSED)
    assert {engine["name"] for engine in found["engines"] if engine["works"]} == allowed
    for engine in found["engines"]:
        if engine["works"]:
            assert engine["cause"] is None
        else:
            cause = engine["cause"]
            assert (cause["who"], cause["certain"]) == (node.forbids[engine["name"]], node.certain)
            assert engine["reason"]
            assert engine["lost"]
            assert cause["allow"]


@pytest.mark.parametrize("words", [(), ("--root",)], ids=["user", "root"])
def test_a_run_finds_an_engine_or_says_why_there_is_none(
    udockpy: Udockpy, box: Path, node: Node, words: tuple[str, ...]
) -> None:
    able = set(TRANSLATORS if words else ENGINES) - set(node.forbids)
    if not able:
        refused(udockpy, *words, box)
        return
    done = udockpy("run", "--verbose", *words, box, "id", "-u")
    said = done.stderr.decode()
    assert done.returncode == 0, text(done)
    assert int(done.stdout) == (0 if words else os.getuid())
    first = said.splitlines()[0]
    assert any(first.startswith(f"udockpy: engine {name}") for name in ENGINES)
    for name in list(ENGINES)[: list(ENGINES).index(first.split()[2])]:
        assert f"{name}: " in first


def refused(udockpy: Udockpy, *words: str | Path) -> None:
    """One clear error, with every engine's reason."""
    said = udockpy.refusal("run", *words, "id", "-u", status=ENGINE_REFUSED)
    assert all(f"{name}: " in said.splitlines()[0] for name in ENGINES)
    assert "hint: " in said


def test_where_everything_is_forbidden_there_is_one_clear_error(
    udockpy: Udockpy, box: Path
) -> None:
    enter(udockpy, *NOTHING.lock)
    found = report(udockpy, ENGINE_REFUSED)
    assert not found["usable"]
    blamed = {engine["name"]: engine["cause"]["who"] for engine in found["engines"]}
    assert blamed == NOTHING.forbids
    refused(udockpy, box)
    refused(udockpy, "--root", box)


def test_an_engine_that_is_forbidden_is_refused_by_name(
    udockpy: Udockpy, box: Path, node: Node
) -> None:
    for name in set(node.forbids) & set(ENGINES):
        said = udockpy.refusal("run", "--engine", name, box, "true", status=ENGINE_REFUSED)
        assert f"{name}: " in said
        assert "--engine auto" in said


def test_helpers_on_a_noexec_mount(udockpy: Udockpy, box: Path) -> None:
    enter(udockpy, "--noexec", native.LIBEXEC)
    found = report(udockpy, ENGINE_REFUSED)
    for engine in found["engines"]:
        assert (engine["works"], engine["cause"]["who"]) == (False, "noexec mount")
        assert f"remount,exec {native.LIBEXEC}" in engine["cause"]["allow"][0]
    assert any("noexec" in helper["problem"] for helper in found["helpers"])
    assert "noexec" in udockpy.refusal("run", box, "true")


def test_the_state_directory(udockpy: Udockpy) -> None:
    state = report(udockpy)["state"]
    assert state["free"] > 0
    assert all(state["features"][name] for name in ("writable", "exec", "shared_maps", "locks"))
    assert state["path"] == os.fspath(udockpy.home)
    enter(udockpy, "--no-xattr")
    assert not report(udockpy)["state"]["features"]["xattrs"]
    udockpy.prefix = ()
    enter(udockpy, "--read-only", os.fspath(udockpy.home))
    state = report(udockpy)["state"]
    assert state["features"] == {"writable": False, "exec": True}
    assert "Read-only" in state["problem"]
    enter(udockpy, "--noexec", os.fspath(udockpy.home))
    assert not report(udockpy)["state"]["features"]["exec"]


def test_doctor_leaves_nothing_in_the_state_directory(udockpy: Udockpy) -> None:
    report(udockpy)
    assert os.listdir(udockpy.home) == ["run"]


def test_a_read_only_home_is_no_hindrance_to_a_state_elsewhere(udockpy: Udockpy, box: Path) -> None:
    enter(udockpy, "--read-only", os.fspath(udockpy.cwd))
    assert udockpy.output("run", "--root", box, "id", "-u") == "0"


def test_a_home_that_is_nowhere_is_part_of_the_report(udockpy: Udockpy) -> None:
    del udockpy.environ["UDOCKPY_HOME"]
    udockpy.environ["HOME"] = "/nonexistent"
    assert report(udockpy)["state"]["path"] == "/"


def test_the_reference_tracer_is_looked_for(udockpy: Udockpy) -> None:
    (found,) = (extra for extra in report(udockpy)["extras"] if extra["name"] == "ptrace-py")
    assert found["works"] == (importlib.util.find_spec("ptrace") is not None)


def test_fuse_is_tried(udockpy: Udockpy) -> None:
    (fuse,) = (extra for extra in report(udockpy)["extras"] if extra["name"] == "/dev/fuse")
    opens = subprocess.run(["sh", "-c", "exec 3<>/dev/fuse"], capture_output=True, check=False)
    assert fuse["works"] == (opens.returncode == 0)
    enter(udockpy, "--no-fuse")
    (fuse,) = (extra for extra in report(udockpy)["extras"] if extra["name"] == "/dev/fuse")
    assert "No such file" in fuse["reason"]


def test_subordinate_ids_need_set_id_programs(udockpy: Udockpy) -> None:
    def found() -> dict[str, Any]:
        extras = report(udockpy)["extras"]
        return next(extra for extra in extras if extra["name"] == "subordinate ids")

    if not found()["works"]:
        missing(f"subordinate ids: {found()}")
    enter(udockpy, "--max-syscall", "1000")  # a filter that refuses nothing, with no_new_privs
    assert found()["cause"]["who"] == "no_new_privs"


def test_the_report_for_people(udockpy: Udockpy) -> None:
    enter(udockpy, "--no-userns")
    text = udockpy.output("doctor")
    assert "userns              does not work" in text
    assert "who: seccomp filter: " in text
    assert "to allow it: " in text
    assert "lost meanwhile: " in text


def test_doctor_is_quick(udockpy: Udockpy) -> None:
    report(udockpy)
    took = []
    for _ in range(3):
        start = time.monotonic()
        report(udockpy)
        took.append(time.monotonic() - start)
    assert min(took) < 1
