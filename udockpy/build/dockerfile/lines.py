"""The lines of a Dockerfile: continued ones joined, comments dropped, here-documents taken. Pure.

Source: the Dockerfile reference of docs.docker.com.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from udockpy.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTIVE = re.compile(r"#\s*([A-Za-z]+)\s*=\s*(.*?)\s*")
HEREDOC = re.compile(r"(?<![^\s])(\d*)<<(-?)(?:\"(\w+)\"|'(\w+)'|(\w+))(?=\s|$)")
TAKE_HEREDOCS = ("RUN", "COPY", "ADD")
ESCAPES = ("\\", "`")


class Heredoc(NamedTuple):
    """A here-document."""

    name: str
    content: str
    expands: bool  # its name was not quoted
    mark: str  # how it is written in its line


class Line(NamedTuple):
    """An instruction."""

    number: int  # of the line where it begins, from 1
    keyword: str  # in upper case
    text: str
    heredocs: tuple[Heredoc, ...] = ()


class Lines(NamedTuple):
    """A Dockerfile."""

    instructions: tuple[Line, ...]
    escape: str


def bad(name: str, line: int, reason: str, hint: str = "") -> BuildError:
    """Something wrong in a line of the Dockerfile `name`."""
    return BuildError("cannot build", f"{name}:{line}", reason, hint=hint)


def read(text: str, name: str) -> Lines:
    """Reads a Dockerfile."""
    if "\0" in text:
        raise bad(name, text[: text.index("\0")].count("\n") + 1, "it contains a null byte")
    rows = [row.rstrip("\r") for row in text.split("\n")]
    escape = _escape(rows, name)
    return Lines(tuple(_instructions(rows, escape, name)), escape)


def _escape(rows: list[str], name: str) -> str:
    """What the directive says; directives are comments before everything else."""
    for number, row in enumerate(rows, 1):
        found = DIRECTIVE.fullmatch(row.strip())
        if not found:
            break
        if found[1].lower() == "escape":
            if found[2] not in ESCAPES:
                raise bad(name, number, "escape is neither \\ nor `")
            return found[2]
    return "\\"


def _instructions(rows: list[str], escape: str, name: str) -> Iterator[Line]:
    continued = re.compile(rf"{re.escape(escape)}[ \t]*$")
    at = 0
    while at < len(rows):
        if _is_nothing(rows[at]):
            at += 1
            continue
        start = at
        parts: list[str] = []
        while at < len(rows):
            row = rows[at]
            at += 1
            if parts and _is_nothing(row):
                continue  # comments and empty lines do not end a continuation
            match = continued.search(row)
            parts.append(row[: match.start()] if match else row)
            if not match:
                break
        joined = "".join(parts).strip()
        if not joined:
            continue  # a line of the mark alone
        keyword, text = _split(joined)
        heredocs = []
        if keyword in TAKE_HEREDOCS:
            for match in HEREDOC.finditer(text):
                found, at = _heredoc(rows, at, match, name, start + 1)
                heredocs.append(found)
        yield Line(start + 1, keyword, text, tuple(heredocs))


def _is_nothing(row: str) -> bool:
    text = row.strip()
    return not text or text.startswith("#")


def _split(text: str) -> tuple[str, str]:
    keyword, *rest = text.split(None, 1)
    return keyword.upper(), rest[0] if rest else ""


def _heredoc(
    rows: list[str], at: int, match: re.Match[str], name: str, line: int
) -> tuple[Heredoc, int]:
    end = match[3] or match[4] or match[5]
    content: list[str] = []
    while at < len(rows):
        row = rows[at].lstrip("\t") if match[2] else rows[at]
        at += 1
        if row == end:
            text = "".join(f"{line}\n" for line in content)
            return Heredoc(end, text, bool(match[5]), match[0]), at
        content.append(row)
    raise bad(name, line, f"the here-document {end} does not end")
