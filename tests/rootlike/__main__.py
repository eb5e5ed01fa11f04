"""Writes the scripts: ``python -m rootlike DIR``, in tests."""

from __future__ import annotations

import sys
from pathlib import Path

from rootlike.cases import cases, script
from rootlike.sequences import sequences

target = Path(sys.argv[1])
target.mkdir(parents=True)
(target / "cases.script").write_text(script(cases()))
(target / "sequences.script").write_text(script(sequences()))
