"""The grammar of Dockerfiles: stages, instructions with their flags. Pure."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from udockpy.build.dockerfile import lines
from udockpy.build.dockerfile.lines import bad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from udockpy.build.dockerfile.lines import Heredoc, Line

# The flags of each instruction; --link means nothing here, for layers are made one way
FLAGS = {
    "ADD": ("chown", "chmod", "checksum", "link"),
    "ARG": (),
    "CMD": (),
    "COPY": ("from", "chown", "chmod", "link"),
    "ENTRYPOINT": (),
    "ENV": (),
    "EXPOSE": (),
    "FROM": ("platform",),
    "HEALTHCHECK": ("interval", "timeout", "start-period", "start-interval", "retries"),
    "LABEL": (),
    "MAINTAINER": (),
    "ONBUILD": (),
    "RUN": ("mount", "network", "security"),
    "SHELL": (),
    "STOPSIGNAL": (),
    "USER": (),
    "VOLUME": (),
    "WORKDIR": (),
}
FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?(?:\s+|$)")
STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
NOT_ON_BUILD = ("FROM", "ONBUILD", "MAINTAINER")


class Instruction(NamedTuple):
    """An instruction with its flags apart."""

    line: int
    keyword: str
    text: str
    flags: tuple[tuple[str, str], ...] = ()
    heredocs: tuple[Heredoc, ...] = ()

    def flag(self, name: str) -> str:
        return dict(self.flags).get(name, "")

    def exec_form(self) -> list[str] | None:
        """The words of a JSON list; None where the text is none, which is then for a shell."""
        if not self.text.startswith("["):
            return None
        try:
            words = json.loads(self.text)
        except (ValueError, RecursionError):
            return None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
        return None

    def describe(self) -> str:
        """As it was written, for people and for what a build remembers."""
        flags = [f"--{name}={value}" if value else f"--{name}" for name, value in self.flags]
        return " ".join(filter(None, (self.keyword, *flags, self.text)))


class Stage(NamedTuple):
    """What one FROM begins."""

    line: int
    base: str  # as it is written
    name: str
    platform: str
    instructions: tuple[Instruction, ...]


class Dockerfile(NamedTuple):
    """A Dockerfile."""

    name: str
    arguments: tuple[Instruction, ...]  # the ARGs before the first FROM
    stages: tuple[Stage, ...]
    escape: str


def parse(text: str, name: str) -> Dockerfile:
    """Reads the Dockerfile `name`. BuildError names the line of what is wrong."""
    found = lines.read(text, name)
    instructions = [instruction(line, name) for line in found.instructions]
    begins = [i for i, item in enumerate(instructions) if item.keyword == "FROM"]
    first = begins[0] if begins else len(instructions)
    for item in instructions[:first]:
        if item.keyword != "ARG":
            raise bad(name, item.line, f"{item.keyword} comes before the first FROM")
    if not begins:
        raise bad(name, 1, "there is no FROM")
    stages = tuple(_stages(instructions, begins, name))
    return Dockerfile(name, tuple(instructions[:first]), stages, found.escape)


def instruction(line: Line, name: str) -> Instruction:
    """Checks one instruction."""
    if line.keyword not in FLAGS:
        raise bad(name, line.number, f"unknown instruction {line.keyword[:40]}")
    flags, text = _flags(line, name)
    if not text:
        raise bad(name, line.number, f"{line.keyword} says nothing")
    if line.keyword == "ONBUILD":
        _check_trigger(line, text, name)
    return Instruction(line.number, line.keyword, text, flags, line.heredocs)


def trigger(text: str, name: str, line: int) -> Instruction:
    """The instruction in an ONBUILD."""
    return instruction(lines.Line(line, *_keyword(text)), name)


def _keyword(text: str) -> tuple[str, str]:
    keyword, *rest = text.split(None, 1)
    return keyword.upper(), rest[0] if rest else ""


def _check_trigger(line: Line, text: str, name: str) -> None:
    keyword, _ = _keyword(text)
    if keyword in NOT_ON_BUILD:
        raise bad(name, line.number, f"ONBUILD {keyword} is not allowed")
    trigger(text, name, line.number)


def _flags(line: Line, name: str) -> tuple[tuple[tuple[str, str], ...], str]:
    known = FLAGS[line.keyword]
    found = []
    text = line.text
    # In shell form a command that begins with -- is nobody's idea of one.
    while known and (match := FLAG.match(text)):
        if match[1] not in known:
            hint = f"its flags are {', '.join(f'--{flag}' for flag in known)}"
            raise bad(name, line.number, f"{line.keyword} has no flag --{match[1]}", hint)
        found.append((match[1], match[2] or ""))
        text = text[match.end() :]
    return tuple(found), text.strip()


def _stages(instructions: list[Instruction], begins: list[int], name: str) -> Iterator[Stage]:
    known: set[str] = set()
    for start, end in zip(begins, [*begins[1:], len(instructions)]):
        beginning = instructions[start]
        words = beginning.text.split()
        stage = ""
        if len(words) == 3 and words[1].upper() == "AS":
            stage = words[2].lower()
            if not STAGE_NAME.fullmatch(stage):
                raise bad(name, beginning.line, f'"{words[2]}" cannot be the name of a stage')
            if stage in known:
                raise bad(name, beginning.line, f'a second stage is named "{stage}"')
            known.add(stage)
        elif len(words) != 1:
            raise bad(name, beginning.line, "write FROM IMAGE [AS NAME]")
        platform = beginning.flag("platform")
        yield Stage(beginning.line, words[0], stage, platform, tuple(instructions[start + 1 : end]))
