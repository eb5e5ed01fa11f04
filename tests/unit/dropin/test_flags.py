"""Flags as Go's usual parser has them."""

from __future__ import annotations

import pytest

from udockpy.dropin.flags import LIST, VALUE, Flag, parse, several
from udockpy.errors import UsageError

TABLE = (
    Flag(("--all", "-a")),
    Flag(("--bind", "-B"), LIST),
    Flag(("--name", "-n"), VALUE),
    *several("--one --two"),
)


@pytest.mark.parametrize(
    ("line", "switches", "values", "lists", "words"),
    [
        ("x --all", {}, {}, {}, ("x", "--all")),
        ("--all x", {"--all": True}, {}, {}, ("x",)),
        ("-aBx -B=y -By", {"--all": True}, {}, {"--bind": ("x", "y", "y")}, ()),
        ("--name=a=b --name c x", {}, {"--name": "c"}, {}, ("x",)),
        ("--name= x", {}, {"--name": ""}, {}, ("x",)),
        ("--all=false --one=1", {"--all": False, "--one": True}, {}, {}, ()),
        ("--two -- --one", {"--two": True}, {}, {}, ("--one",)),
        ("- --one", {}, {}, {}, ("-", "--one")),
    ],
)
def test_words_are_read(
    line: str,
    switches: dict[str, bool],
    values: dict[str, str],
    lists: dict[str, tuple[str, ...]],
    words: tuple[str, ...],
) -> None:
    assert parse(line.split(), TABLE, mixed=False) == (switches, values, lists, words)


def test_flags_may_be_anywhere_among_other_words() -> None:
    given = parse(["x", "--one", "y", "--", "--two"], TABLE, mixed=True)
    assert given.words == ("x", "y", "--two")
    assert given.names() == {"--one"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--nosuch", "unknown flag: --nosuch"),
        ("-az", "unknown shorthand flag: 'z' in -az"),
        ("--name", "flag needs an argument: --name"),
        ("-an", "flag needs an argument: 'n' in -an"),
        ("--all=perhaps", 'invalid argument "perhaps" for "--all" flag'),
    ],
)
def test_mistakes_are_told_in_the_words_that_callers_know(line: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line.split(), TABLE, mixed=False)
    assert str(caught.value) == said
