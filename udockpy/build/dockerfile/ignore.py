""".dockerignore: what of a build's context is not there for it. Pure."""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple


class Rule(NamedTuple):
    """A line: paths that it is about, and whether it takes them back."""

    pattern: re.Pattern[str]
    keeps: bool


class Ignore(NamedTuple):
    """The rules of a file; the last one that matches counts."""

    rules: tuple[Rule, ...] = ()

    def hides(self, path: str) -> bool:
        """Whether a path relative to the context is hidden: itself, or a directory it is in. The
        context itself never is.
        """
        hidden = False
        for rule in self.rules:
            if path and rule.pattern.fullmatch(path):
                hidden = not rule.keeps
        return hidden


def parse(text: str) -> Ignore:
    """Reads the file. ValueError for a pattern that is none."""
    rules = []
    for line in text.removeprefix("\ufeff").splitlines():
        pattern = line.strip()
        if not pattern or line.startswith("#"):
            continue
        keeps = pattern.startswith("!")
        pattern = posixpath.normpath(pattern[keeps:].strip()).lstrip("/")
        if pattern not in ("", "."):
            # A directory that matches takes all that is in it along.
            rules.append(Rule(re.compile(f"(?:{expression(pattern)})(?:/.*)?", re.DOTALL), keeps))
    return Ignore(tuple(rules))


def expression(pattern: str) -> str:
    """The regular expression of a pattern: Go's filepath.Match, and ** for any directories."""
    made, at = "", 0
    while at < len(pattern):
        mark = pattern[at]
        at += 1
        if pattern.startswith("**", at - 1):
            at += 1
            if pattern.startswith("/", at):
                made, at = made + "(?:.*/)?", at + 1
            else:
                made += ".*"
        elif mark == "*":
            made += "[^/]*"
        elif mark == "?":
            made += "[^/]"
        elif mark == "[":
            part, at = _class(pattern, at)
            made += part
        elif mark == "\\" and at < len(pattern):
            made, at = made + re.escape(pattern[at]), at + 1
        else:
            made += re.escape(mark)
    return made


def _class(pattern: str, at: int) -> tuple[str, int]:
    """A set of characters, from behind its bracket."""
    end = pattern.find("]", at + 1)
    if end < 0:
        raise ValueError(f"{pattern}: the bracket does not end")
    content = pattern[at:end]
    negated = content[0] in "^!"
    content = re.sub(r"([\[\\&~|^])", r"\\\1", content[negated:])
    made = f"[{'^' if negated else ''}{content}]"
    try:
        re.compile(made)
    except re.error as e:
        raise ValueError(f"{pattern}: {e}") from None
    return made, end + 1
