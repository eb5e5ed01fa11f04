"""What tests/guests/rootlike.c does as a pretended root, in every engine, comes to what it comes to
as a real root."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.product import Product, text
from support.world import PROGRAMS, World

from rootlike.cases import by_case
from rootlike.differences import match, of_engine

WORK = f"{PROGRAMS}/work"


def transcript(engine: Product, sandbox: Path, script: Path) -> dict[str, list[str]]:
    """What a script prints in a guest, by case."""
    # Engines that translate take a descriptor of what is bound twice for the first of them.
    work = f"{sandbox}{WORK}"
    binds = ["--bind", f"{work}:{WORK}", "--bind", f"{work}:{PROGRAMS}/readonly:ro"]
    command = (f"{PROGRAMS}/rootlike-musl", f"{WORK}/rootlike")
    options = ["--root", *binds]
    with script.open("rb") as lines:
        done = engine.run(sandbox, *command, options=options, stdin=lines)
    assert done.returncode == 0, text(done)
    return by_case(done.stdout.decode())


def parted(expected: list[str], found: list[str]) -> str:
    """The lines that are not the same."""
    lines = [f"\n    - {one}\n    + {other}" for one, other in zip(expected, found) if one != other]
    return "".join(lines) or f"\n    {len(expected)} lines -> {len(found)}"


@pytest.mark.parametrize("name", ["cases"])
def test_as_a_real_root(engine: Product, world: World, sandbox: Path, name: str) -> None:
    script, oracle = world.rootlike(name)
    expected = by_case(oracle.read_text())
    found = transcript(engine, sandbox, script)
    different = {case for case in expected if expected[case] != found.get(case)}
    known = of_engine(engine.engine)
    news = sorted(c for c in different if not any(match(c, row) for row in known))
    assert not news, f"{len(news)} of {len(expected)} differ:\n" + "\n".join(
        f"{case}:{parted(expected[case], found.get(case, []))}" for case in news
    )
    gone = [row for row in known if not any(match(case, row) for case in different)]
    assert not gone, f"no longer different: {gone}"
