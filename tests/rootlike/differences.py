"""The differences to a real root that are known: tests/rootlike/differences.tsv, which the
documentation shows, too."""

from __future__ import annotations

import csv
from fnmatch import fnmatchcase
from pathlib import Path

TABLE = Path(__file__).with_name("differences.tsv")


def rows() -> list[dict[str, str]]:
    with TABLE.open(newline="") as lines:
        return list(csv.DictReader(lines, dialect="excel-tab"))


ROWS = rows()


def of_engine(engine: str) -> list[list[str]]:
    """The patterns of each row for an engine."""
    return [row["cases"].split() for row in ROWS if row["engines"] in ("all", engine)]


def match(case: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(case, pattern) for pattern in patterns)
