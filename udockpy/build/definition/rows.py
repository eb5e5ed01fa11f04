"""Sections that are no scripts: %files and %labels, and the scripts' text. Pure."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from udockpy.build.definition import grammar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from udockpy.build.definition.grammar import Line, Section

SHELL = "#!/bin/sh"


class Copy(NamedTuple):
    """A row of %files. Without `target` a file goes where it was."""

    source: str  # may have wildcards
    target: str
    line: int


def copies(section: Section, name: str) -> list[Copy]:
    """The rows of a section of files; `name` is the definition's."""
    found = []
    for line in _filled(section):
        words = _words(line, name)
        if len(words) > 2:
            hint = "write SOURCE [TARGET], with quotes around names with spaces"
            raise grammar.bad(name, line.number, "more than two names", hint)
        found.append(Copy(words[0], words[1] if len(words) > 1 else "", line.number))
    return found


def labels(section: Section, name: str) -> dict[str, str]:
    """The rows of a section of labels."""
    found = {}
    for line in _filled(section):
        key, _, value = line.text.strip().partition(" ")
        if not value.strip():
            raise grammar.bad(name, line.number, f'the label "{key}" has no value')
        found[key] = grammar.unquoted(value.strip())
    return found


def written_labels(text: str) -> dict[str, str]:
    """What a %post wrote into $APPTAINER_LABELS; lines without a value are left out."""
    rows = (line.strip().partition(" ") for line in text.splitlines())
    return {key: value.strip() for key, _, value in rows if key and value.strip()}


def program(sections: list[Section]) -> str:
    """A script to be kept in the image: with an interpreter, that of the first line, else sh."""
    lines = [line for section in sections for line in section.lines]
    while lines and not lines[0].text.strip():
        lines.pop(0)
    first = lines[0].text.strip() if lines else ""
    interpreter = SHELL
    if first.startswith("#!"):
        interpreter = first
        lines.pop(0)
    arguments = sections[0].arguments
    head = f"{interpreter} {arguments}" if arguments else interpreter
    return "".join(f"{text}\n" for text in (head, *(line.text for line in lines)))


def numbered(sections: list[Section]) -> str:
    """A script to be run once, whose line numbers are those of the definition: what a shell says of
    a line is then true of the file that the user knows.
    """
    made: list[str] = []
    for section in sections:
        made += [""] * (section.line - len(made))
        made += [line.text for line in section.lines]
    return "".join(f"{text}\n" for text in made)


def _filled(section: Section) -> Iterator[Line]:
    texts = ((line, line.text.strip()) for line in section.lines)
    return (line for line, text in texts if text and not text.startswith("#"))


def _words(line: Line, name: str) -> list[str]:
    try:
        return shlex.split(line.text, comments=True)
    except ValueError as e:
        raise grammar.bad(name, line.number, f"{e}".lower()) from None
