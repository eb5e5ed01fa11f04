"""The grammar of definition files: text -> stages with headers and sections. Pure.

A stage begins at each header line `Bootstrap:`, a section at each line whose first word begins with
%. Line numbers, from 1, are those of the file.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from udockpy.build.definition import templates
from udockpy.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SECTION = re.compile(
    "help|setup|files|labels|environment|pre|post|runscript|test|startscript|arguments"
)
APP_SECTION = re.compile("app(?:install|files|env|labels|help|test|run|start)")
KEY = re.compile(
    "bootstrap|from|include|includecmd|mirrorurl|updateurl|otherurl[0-9]*|osversion|library"
    "|registry|namespace|stage|product|user|regcode|productpgp|registerurl|modules|fingerprints"
    "|confurl|setopt|target|frontend|filename|buildargs"
)
COMMENT = re.compile(r"(?:^|\s)#.*")
STAGE = re.compile(r"\s*bootstrap\s*:", re.IGNORECASE)
ARGUMENT = re.compile(r"([A-Za-z_]\w*)\s*=\s*(.*)")


class Line(NamedTuple):
    """A line of the file."""

    number: int
    text: str


class Value(NamedTuple):
    """What a header key says, and where."""

    text: str
    line: int


class Section(NamedTuple):
    """A section: `%NAME ARGUMENTS`, and the lines until the next one."""

    name: str
    arguments: str
    line: int
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        return "".join(f"{line.text}\n" for line in self.lines)


class Stage(NamedTuple):
    """What makes one root filesystem."""

    header: Mapping[str, Value]  # by keys in lower case
    sections: tuple[Section, ...]
    line: int

    def key(self, name: str) -> str:
        """What the header says, "" where it does not."""
        value = self.header.get(name)
        return value.text if value else ""

    def named(self, name: str) -> list[Section]:
        """All sections of a name, in their order."""
        return [section for section in self.sections if section.name == name]


class Definition(NamedTuple):
    """A definition file, with its arguments put in."""

    name: str
    stages: tuple[Stage, ...]
    text: str
    unused: tuple[str, ...] = ()  # arguments that it has no place for


def parse(text: str, name: str, given: Mapping[str, str], *, unused_ok: bool = False) -> Definition:
    """Reads a definition file `name` with the arguments that the user gave. BuildError names the
    line of what is wrong.
    """
    if "\0" in text:
        raise bad(name, text[: text.index("\0")].count("\n") + 1, "it contains a null byte")
    used: set[str] = set()
    stages = []
    filled: list[str] = []
    for lines in _split_stages(text, name):
        known = {**_defaults(lines, name), **given}
        own = [line._replace(text=_fill(line, known, used, name)) for line in lines]
        filled += [line.text for line in own]
        stages.append(_stage(own, name))
    unused = sorted(set(given) - used)
    if unused and not unused_ok:
        hint = "remove it, or use --warn-unused-build-args"
        raise BuildError(
            "cannot use the build argument", unused[0], f"{name} has no place for it", hint=hint
        )
    _check_names(stages, name)
    return Definition(name, tuple(stages), "\n".join(filled) + "\n", tuple(unused))


def has_stage(head: str) -> bool:
    """Whether a text that begins so is a definition."""
    return any(STAGE.match(line) for line in head.split("\n"))


def bad(name: str, line: int, reason: str, hint: str = "") -> BuildError:
    """Something wrong in a line of the file `name`."""
    return BuildError("cannot build", f"{name}:{line}", reason, hint=hint)


def _split_stages(text: str, name: str) -> list[list[Line]]:
    """The lines of each stage; what precedes the first one belongs to it."""
    lines = [Line(number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1)]
    if lines and not lines[-1].text:
        lines.pop()
    begins = [index for index, line in enumerate(lines) if STAGE.match(line.text)]
    if not begins:
        hint = "begin with lines such as: Bootstrap: docker / From: debian:12"
        raise bad(name, 1, "no stage begins here: there is no Bootstrap: line", hint)
    begins[0] = 0
    return [lines[start:end] for start, end in zip(begins, [*begins[1:], len(lines)])]


def _fill(line: Line, known: Mapping[str, str], used: set[str], name: str) -> str:
    try:
        return templates.fill(line.text, known, used)
    except ValueError as e:
        hint = "give it with --build-arg NAME=VALUE, or a default in %arguments"
        raise bad(name, line.number, str(e), hint) from None


def _defaults(lines: list[Line], name: str) -> dict[str, str]:
    """What the stage's %arguments say."""
    found = {}
    inside = False
    for line in lines:
        words = line.text.split()
        if words and words[0].startswith("%"):
            inside = words[0] == "%arguments"
        elif inside and words and not words[0].startswith("#"):
            match = ARGUMENT.fullmatch(line.text.strip())
            if match is None:
                raise bad(name, line.number, "not NAME=VALUE")
            found[match[1]] = unquoted(match[2])
    return found


def unquoted(text: str) -> str:
    """A value without the quotes around it."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _stage(lines: list[Line], name: str) -> Stage:
    begin = next((i for i, line in enumerate(lines) if _is_section(line)), len(lines))
    header = _header(lines[:begin], name)
    if "bootstrap" not in header:
        raise bad(name, lines[0].number, "a section comes before the first Bootstrap: line")
    return Stage(header, tuple(_sections(lines[begin:], name)), header["bootstrap"].line)


def _is_section(line: Line) -> bool:
    return line.text.lstrip().startswith("%")


def _header(lines: Iterable[Line], name: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for line in _continued(lines):
        text = COMMENT.sub("", line.text).strip()
        if not text:
            continue
        key, colon, value = (part.strip() for part in text.partition(":"))
        key = key.lower()
        if not colon:
            raise bad(name, line.number, f'"{text[:40]}" is not KEY: VALUE')
        if not KEY.fullmatch(key):
            raise bad(name, line.number, f'unknown header key "{key[:40]}"')
        if not value:
            raise bad(name, line.number, f'the header key "{key}" has no value')
        found[key] = Value(value, line.number)
    return found


def _continued(lines: Iterable[Line]) -> Iterable[Line]:
    """Joins lines that end with a backslash, but not comments."""
    begun: Line | None = None
    for line in lines:
        joined = line if begun is None else begun._replace(text=begun.text + line.text.lstrip())
        if joined.text.endswith("\\") and not joined.text.lstrip().startswith("#"):
            begun = joined._replace(text=joined.text[:-1])
        else:
            begun = None
            yield joined
    if begun is not None:
        yield begun


def _sections(lines: list[Line], name: str) -> Iterable[Section]:
    begins = [index for index, line in enumerate(lines) if _is_section(line)]
    for start, end in zip(begins, [*begins[1:], len(lines)]):
        line = lines[start]
        word, _, arguments = line.text.strip().partition(" ")
        section = word[1:]
        arguments = arguments.strip()
        of_app = APP_SECTION.fullmatch(section)
        if not of_app and not SECTION.fullmatch(section):
            raise bad(name, line.number, f'unknown section "{word[:40]}"')
        if of_app and len(arguments.split()) != 1:
            raise bad(name, line.number, f"write {word} NAME")
        yield Section(section, arguments, line.number, tuple(lines[start + 1 : end]))


def _check_names(stages: list[Stage], name: str) -> None:
    """Every stage that is copied from comes before, and has its name alone."""
    known: set[str] = set()
    for stage in stages:
        for section in stage.named("files"):
            words = section.arguments.split()
            if words and (len(words) != 2 or words[0] != "from"):
                raise bad(name, section.line, "write %files, or %files from STAGE")
            if words and words[1] not in known:
                raise bad(name, section.line, f'no stage "{words[1]}" comes before this one')
        own = stage.key("stage")
        if own in known:
            raise bad(name, stage.header["stage"].line, f'a second stage is named "{own}"')
        known |= {own} if own else set()
