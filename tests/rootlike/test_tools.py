"""What the tools of a root print, whose work is owners, modes, nodes and lists, is what they print
for a real root."""

from __future__ import annotations

from support.product import Product, text
from support.world import PROGRAMS, World

from rootlike.transcripts import by_case, report


def test_tools(engine: Product, world: World) -> None:
    expected = by_case(world.tools_transcript())
    work = f"{PROGRAMS}/work/tools-{engine.engine}"
    command = ("/bin/sh", f"{PROGRAMS}/rootlike-tools.sh", work)
    done = engine.run(world.guest("tools"), *command, options=["--root"], timeout=120)
    assert done.returncode == 0, text(done)
    found = by_case(done.stdout.decode())
    different = [case for case in expected if expected[case] != found.get(case)]
    assert not different, report(expected, found, different)
