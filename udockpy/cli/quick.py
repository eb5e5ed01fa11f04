"""Reads well-formed `run` and `exec` command lines; leaves everything else (help, mistakes, other
verbs) to click.
"""

from __future__ import annotations

from typing import Any

from udockpy.cli.options import FLAG, LIST, Option, of
from udockpy.container.options import RunOptions

VERBS = ("run", "exec")


def parse(words: list[str]) -> RunOptions | None:
    """The options, or None where click has to look. As with click, options end at the first other
    word.
    """
    if not words or words[0] not in VERBS:
        return None
    spellings = {flag: option for option in of(words[0]) for flag in option.flags}
    values: dict[str, Any] = {}
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        option, value = _split(word, spellings)
        if option is None or (option.kind == FLAG and value is not None):
            return None
        if option.kind != FLAG and value is None:
            if not rest:
                return None
            value = rest.pop(0)
        _store(values, option, value)
    if not rest or (words[0] == "exec" and len(rest) == 1):
        return None
    return RunOptions(target=rest[0], command=tuple(rest[1:]), **values)


def _split(word: str, spellings: dict[str, Option]) -> tuple[Option | None, str | None]:
    """The option of a word, and the value written in the same word."""
    if word.startswith("--"):
        flag, equals, value = word.partition("=")
        return spellings.get(flag), value if equals else None
    return spellings.get(word[:2]), word[2:] or None


def _store(values: dict[str, Any], option: Option, value: str | None) -> None:
    if option.kind == FLAG:
        values[option.field] = True
    elif option.kind == LIST:
        values[option.field] = (*values.get(option.field, ()), value)
    else:
        values[option.field] = value
