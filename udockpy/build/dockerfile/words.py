"""Words of a Dockerfile: quotes, escapes, and variables put in. Pure.

`$NAME`, `${NAME}`, `${NAME:-WORD}`, `${NAME:+WORD}`, `${NAME:?WORD}`, the same without the colon,
and `${NAME#PATTERN}`, `##`, `%`, `%%`, `/PATTERN/WORD`, `//`. Nothing is put in between single
quotes.
"""

from __future__ import annotations

import fnmatch
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+", re.ASCII)
MAX_DEPTH = 50


def expand(text: str, known: Mapping[str, str], escape: str = "\\") -> str:
    """A word, with its quotes and escapes taken away. ValueError for what is malformed."""
    return "".join(piece for piece, _ in _Reader(text, known, escape).pieces())


def expand_words(text: str, known: Mapping[str, str], escape: str = "\\") -> list[str]:
    """The words of a text that blanks separate; variables are not split."""
    return [expand(word, known, escape) for word in split(text, escape)]


def expand_heredoc(text: str, known: Mapping[str, str]) -> str:
    """The content of a here-document: quotes are nothing special there."""
    return "".join(piece for piece, _ in _Reader(text, known, "\\", heredoc=True).pieces())


def split(text: str, escape: str = "\\") -> list[str]:
    """The words of a text, quotes and escapes and all."""
    found, word, quote = [], "", ""
    at = 0
    while at < len(text):
        mark = text[at]
        if mark == escape and quote != "'" and at + 1 < len(text):
            word += text[at : at + 2]
            at += 2
            continue
        if quote:
            quote = "" if mark == quote else quote
        elif mark in "\"'":
            quote = mark
        elif mark in " \t\n":
            found += [word] if word else []
            word = ""
            at += 1
            continue
        word += mark
        at += 1
    if quote:
        raise ValueError(f"the quote {quote} does not end")
    return [*found, word] if word else found


class _Reader:
    """Reads a text once, from left to right."""

    def __init__(
        self,
        text: str,
        known: Mapping[str, str],
        escape: str,
        *,
        heredoc: bool = False,
        depth: int = 0,
    ) -> None:
        self.text = text
        self.known = known
        self.escape = escape
        self.heredoc = heredoc
        self.depth = depth
        self.at = 0
        if depth > MAX_DEPTH:
            raise ValueError("variables are nested too deep")

    def pieces(self, end: str = "") -> list[tuple[str, bool]]:
        """The pieces until one of the marks `end`, which is left to be read."""
        made: list[tuple[str, bool]] = []
        quoted = False  # between double quotes
        while self.at < len(self.text):
            mark = self.text[self.at]
            if mark in end and not quoted:
                break
            self.at += 1
            if mark == "'" and not quoted and not self.heredoc:
                made.append((self._until_quote(), True))
            elif mark == '"' and not self.heredoc:
                quoted = not quoted
            elif mark == self.escape:
                made.append((self._escaped(quoted), True))
            elif mark == "$":
                made.append((self._variable(), False))
            else:
                made.append((mark, False))
        if quoted:
            raise ValueError('the quote " does not end')
        return made

    def _until_quote(self) -> str:
        end = self.text.find("'", self.at)
        if end < 0:
            raise ValueError("the quote ' does not end")
        found, self.at = self.text[self.at : end], end + 1
        return found

    def _escaped(self, quoted: bool) -> str:
        if self.at == len(self.text):
            return self.escape
        mark = self.text[self.at]
        self.at += 1
        keeps = (quoted and mark not in f'"${self.escape}') or (
            self.heredoc and mark not in f"${self.escape}"
        )
        return self.escape + mark if keeps else mark

    def _variable(self) -> str:
        if self.text.startswith("{", self.at):
            self.at += 1
            return self._braced()
        found = NAME.match(self.text, self.at)
        if not found:
            return "$"
        self.at = found.end()
        return self.known.get(found[0], "")

    def _braced(self) -> str:
        found = NAME.match(self.text, self.at)
        if not found:
            raise ValueError("${ is followed by no name")
        self.at = found.end()
        value = self.known.get(found[0])
        operator = self._operator()
        word = self._word() if operator else ""
        if not self.text.startswith("}", self.at):
            raise ValueError(f"${{{found[0]} does not end with }}")
        self.at += 1
        if operator in MODIFIERS:
            return MODIFIERS[operator](value or "", word)
        return _substituted(found[0], value, operator, word)

    def _operator(self) -> str:
        for operator in OPERATORS:
            if self.text.startswith(operator, self.at):
                self.at += len(operator)
                return operator
        return ""

    def _word(self) -> str:
        """What follows an operator, up to the brace."""
        inner = _Reader(
            self.text, self.known, self.escape, heredoc=self.heredoc, depth=self.depth + 1
        )
        inner.at = self.at
        word = "".join(piece for piece, _ in inner.pieces("}"))
        self.at = inner.at
        return word


def _substituted(name: str, value: str | None, operator: str, word: str) -> str:
    is_there = bool(value) if operator.startswith(":") else value is not None
    kind = operator[-1:]
    if kind == "+":
        return word if is_there else ""
    if kind == "?" and not is_there:
        raise ValueError(f"{name}: {word or 'it has no value'}")
    if kind == "-" and not is_there:
        return word
    return value or ""


def _without(value: str, pattern: str, *, front: bool, longest: bool) -> str:
    """A value without what matches at its front or end."""
    matches = re.compile(fnmatch.translate(pattern)).match
    sizes = range(len(value) + 1)
    for size in reversed(sizes) if longest else sizes:
        part = value[:size] if front else value[len(value) - size :]
        if matches(part):
            return value[size:] if front else value[: len(value) - size]
    return value


def _replaced(value: str, word: str, *, count: int) -> str:
    pattern, _, new = word.partition("/")
    expression = fnmatch.translate(pattern).replace(r"\Z", "").replace(r"\z", "")
    return re.sub(expression, lambda _: new, value, count=count) if pattern else value


MODIFIERS = {
    "##": lambda value, word: _without(value, word, front=True, longest=True),
    "#": lambda value, word: _without(value, word, front=True, longest=False),
    "%%": lambda value, word: _without(value, word, front=False, longest=True),
    "%": lambda value, word: _without(value, word, front=False, longest=False),
    "//": lambda value, word: _replaced(value, word, count=0),
    "/": lambda value, word: _replaced(value, word, count=1),
}
OPERATORS = (":-", ":+", ":?", *MODIFIERS, "-", "+", "?")
