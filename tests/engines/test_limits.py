"""What an engine cannot do by its nature it refuses, with a reason; the others do it. The limits
that are no refusals are tested with what they limit: test_escape, test_i386 and test_torture."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.limits import LIMITS, lacks
from support.product import ENGINE_REFUSED, Product, text
from support.world import World, missing

from udockpy.container.guest import Program
from udockpy.container.plan import Identity, Plan
from udockpy.engines import ENGINES
from udockpy.engines.interface import Host, Probe

# ptrace(PTRACE_TRACEME) by number, for no small guest has a debugger.
TRACE_ME = "exit(syscall(101, 0, 0, 0, 0) == 0 ? 0 : 1)"


@pytest.mark.parametrize("option", ["--pid", "--ipc", "--net", "--hostname=elsewhere"])
def test_namespaces(engine: Product, small: Path, option: str) -> None:
    done = engine.run(small, "/bin/true", options=[option])
    if lacks(engine.engine, "namespaces"):
        assert done.returncode == ENGINE_REFUSED, text(done)
        assert b"namespace" in done.stderr
    else:
        assert done.returncode == 0, text(done)


def test_the_hosts_root_directory(engine: Product) -> None:
    done = engine.run(Path("/"), "/bin/true")
    if lacks(engine.engine, "host's root"):
        assert done.returncode == ENGINE_REFUSED, text(done)
        assert b"root directory" in done.stderr
    else:
        assert done.returncode == 0, text(done)


def test_subordinate_ids(engine: Product, small: Path) -> None:
    mapped = replace(engine, settings={"UDOCKPY_MAP_SUBUIDS": "yes"})
    done = mapped.run(small, "/bin/true", options=["--root"])
    if lacks(engine.engine, "subordinate ids"):
        assert done.returncode == ENGINE_REFUSED, text(done)
        assert b"subordinate ids" in done.stderr
    elif done.returncode == ENGINE_REFUSED:
        missing(f"subordinate ids: {text(done)}")
    else:
        assert done.returncode == 0, text(done)


def test_a_debugger_inside(engine: Product, world: World) -> None:
    done = engine.run(world.guest("bookworm"), "perl", "-e", TRACE_ME)
    if lacks(engine.engine, "tracer"):
        assert done.returncode == 1, text(done)
        assert b"--engine userns" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, b""), text(done)


@pytest.mark.parametrize("name", ENGINES)
def test_programs_for_another_machine(name: str) -> None:
    """On a node that has an emulator for them, which few test machines have."""
    host = Host("x86_64", dict.fromkeys(ENGINES, Probe(works=True)), foreign=("aarch64",))
    plan = Plan("/rootfs", ("id",), Identity(1, 1, (1,), pretend=False), ())
    fits = ENGINES[name].fits(plan, Program("/bin/id", "aarch64"), host)
    assert fits.works != lacks(name, "foreign")
    assert fits.works or "aarch64" in fits.reason


def test_every_limit_is_one_that_tests_know() -> None:
    used = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        used |= set(re.findall(r'"([^"\n]+)"', path.read_text()))
    assert set(LIMITS) <= used
    assert {engine for limit in LIMITS.values() for engine in limit.engines} <= set(ENGINES)
