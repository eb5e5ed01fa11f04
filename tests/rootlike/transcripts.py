"""What the scripts and the tools print: by case, and where it parts."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping


def split_script(text: str) -> list[str]:
    """The parts of a script that are one case each."""
    return [f"case {part}" for part in text.split("case ")[1:]]


def by_case(transcript: str) -> dict[str, list[str]]:
    """The lines of each case, with the errors by name."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in transcript.splitlines():
        if line.startswith("== "):
            lines = found.setdefault(line[3:], [])
            continue
        what, _, result = line.rpartition(" ")
        if result.startswith("-"):
            line = f"{what} {errno.errorcode.get(-int(result), result)}"
        lines.append(line)
    return found


def parted(expected: list[str], found: list[str]) -> str:
    """The lines that are not the same."""
    lines = [f"\n    - {one}\n    + {other}" for one, other in zip(expected, found) if one != other]
    return "".join(lines) or f"\n    {len(expected)} lines -> {len(found)}"


def report(
    expected: Mapping[str, list[str]], found: Mapping[str, list[str]], cases: Iterable[str]
) -> str:
    """The lines that differ, by case."""
    return "\n".join(f"{case}:{parted(expected[case], found.get(case, []))}" for case in cases)
