"""What tests/guests/rootlike.c does as a pretended root, in every engine, comes to what it comes to
as a real root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.product import Product, text
from support.world import PROGRAMS, World

from rootlike.differences import match, of_engine
from rootlike.transcripts import by_case, report, split_script

WORK = f"{PROGRAMS}/work"
# Engines that share all that matters here run a part of the cases each, unless all are asked for.
SHARES = {"ptrace": 0, "preload": 1}
N_SHARES = 4


def share(engine: str, script: str) -> str:
    """The cases of a script that an engine runs."""
    if engine not in SHARES or os.environ.get("UDOCKPY_TEST_ROOTLIKE") == "all":
        return script
    return "".join(split_script(script)[SHARES[engine] :: N_SHARES])


def transcript(engine: Product, sandbox: Path, script: str) -> dict[str, list[str]]:
    """What a script prints in a guest, by case."""
    # Engines that translate take a descriptor of what is bound twice for the first of them.
    work = f"{sandbox}{WORK}"
    binds = ["--bind", f"{work}:{WORK}", "--bind", f"{work}:{PROGRAMS}/readonly:ro"]
    command = (f"{PROGRAMS}/rootlike-musl", f"{WORK}/rootlike")
    options = ["--root", *binds]
    done = engine.run(sandbox, *command, options=options, input=script.encode())
    assert done.returncode == 0, text(done)
    return by_case(done.stdout.decode())


@pytest.mark.parametrize("name", ["cases", "sequences"])
def test_as_a_real_root(engine: Product, world: World, sandbox: Path, name: str) -> None:
    whole, oracle = world.rootlike(name)
    script = share(engine.engine, whole.read_text())
    expected = {
        case: lines
        for case, lines in by_case(oracle.read_text()).items()
        if f"case {case}\n" in script
    }
    found = transcript(engine, sandbox, script)
    different = {case for case in expected if expected[case] != found.get(case)}
    known = of_engine(engine.engine)
    news = sorted(c for c in different if not any(match(c, row) for row in known))
    assert not news, f"{len(news)} of {len(expected)} differ:\n{report(expected, found, news)}"
    here = [row for row in known if any(match(case, row) for case in expected)]
    gone = [row for row in here if not any(match(case, row) for case in different)]
    assert not gone, f"no longer different: {gone}"
