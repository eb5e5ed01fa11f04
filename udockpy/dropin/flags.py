"""Command line flags as Go's and Python's usual parsers have them: --name VALUE, --name=VALUE,
-nVALUE, and switches that may share one dash.
"""

from __future__ import annotations

from typing import NamedTuple

from udockpy.errors import Error, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SWITCH, VALUE, LIST = "switch", "value", "list"
TRUE = ("", "1", "t", "true", "y", "yes")
FALSE = ("0", "f", "false", "n", "no")


class Flag(NamedTuple):
    """One flag. What is given for it is kept under its first name."""

    names: tuple[str, ...]  # with their dashes
    kind: str = SWITCH
    environment: tuple[str, ...] = ()  # what is said there when the command line says nothing
    means: str = ""  # why it is refused or has no effect, where that is so


def several(names: str, kind: str = SWITCH, means: str = "") -> tuple[Flag, ...]:
    """Flags that differ in their names only."""
    return tuple(Flag((name,), kind, (), means) for name in names.split())


class Given(NamedTuple):
    """A command line, read."""

    switches: Mapping[str, bool]
    values: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]
    words: tuple[str, ...]

    def on(self, name: str) -> bool:
        return self.switches.get(name, False)

    def value(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)

    def all(self, name: str) -> tuple[str, ...]:
        return self.lists.get(name, ())

    def names(self) -> set[str]:
        """All flags that were given, but for switches that were given as off."""
        return {*(name for name, on in self.switches.items() if on), *self.values, *self.lists}


def judge(
    given: Given,
    *,
    refused: Sequence[Flag],
    without_effect: Sequence[Flag],
    warn: Callable[[str], None],
) -> None:
    """Warns of flags without effect, and refuses what we cannot do: nothing is ignored silently."""
    names = given.names()
    for flag in refused:
        if flag.names[0] in names:
            raise Error(f"{flag.names[0]} is not supported by udockpy: {flag.means}")
    for flag in without_effect:
        if flag.names[0] in names:
            warn(f"{flag.names[0]} has no effect: {flag.means}")


def switch(text: str) -> bool:
    """Reads the value of a switch."""
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise ValueError(text)


def parse(words: Sequence[str], table: Sequence[Flag], *, mixed: bool) -> Given:
    """Reads a command line. Flags end at `--`, and unless they may be mixed with other words, at
    the first of those.
    """
    by_name = {name: flag for flag in table for name in flag.names}
    reader = _Reader(by_name, list(words))
    rest: list[str] = []
    while reader.words:
        word = reader.words.pop(0)
        if word == "--":
            rest += reader.words
            break
        if word.startswith("--"):
            reader.long(word)
        elif word.startswith("-") and len(word) > 1:
            reader.short(word)
        else:
            rest.append(word)
            if not mixed:
                rest += reader.words
                break
    lists = {name: tuple(values) for name, values in reader.lists.items()}
    return Given(reader.switches, reader.values, lists, tuple(rest))


class _Reader:
    """What was read so far, and the words that are left."""

    def __init__(self, table: Mapping[str, Flag], words: list[str]) -> None:
        self.table = table
        self.words = words
        self.switches: dict[str, bool] = {}
        self.values: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}

    def long(self, word: str) -> None:
        name, equals, value = word.partition("=")
        flag = self.table.get(name)
        if flag is None:
            raise UsageError(f"unknown flag: {name}")
        if flag.kind == SWITCH:
            self._store(flag, value)
        else:
            self._store(flag, value if equals else self._next(f"flag needs an argument: {name}"))

    def short(self, word: str) -> None:
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = self.table.get(f"-{letter}")
            if flag is None:
                raise UsageError(f"unknown shorthand flag: '{letter}' in {word}")
            if flag.kind == SWITCH:
                self._store(flag, "")
                continue
            needs = f"flag needs an argument: '{letter}' in {word}"
            self._store(flag, letters.removeprefix("=") if letters else self._next(needs))
            return

    def _next(self, needs: str) -> str:
        if not self.words:
            raise UsageError(needs)
        return self.words.pop(0)

    def _store(self, flag: Flag, value: str) -> None:
        name = flag.names[0]
        if flag.kind == LIST:
            self.lists.setdefault(name, []).append(value)
        elif flag.kind == VALUE:
            self.values[name] = value
        else:
            try:
                self.switches[name] = switch(value)
            except ValueError:
                raise UsageError(f'invalid argument "{value}" for "{name}" flag') from None
