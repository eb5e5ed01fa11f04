"""WWW-Authenticate headers, as registries send them and as nobody should."""

from __future__ import annotations

import pytest

from udockpy.registry.challenge import Challenge, parse


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", []),
        ('Basic realm="a b"', [Challenge("basic", (("realm", "a b"),))]),
        (
            'Bearer realm="https://h/t?x=1,2",service=s,scope="repository:a/b:pull,push"',
            [
                Challenge(
                    "bearer",
                    (
                        ("realm", "https://h/t?x=1,2"),
                        ("service", "s"),
                        ("scope", "repository:a/b:pull,push"),
                    ),
                )
            ],
        ),
        ('BASIC Realm="q\\"q"', [Challenge("basic", (("realm", 'q"q'),))]),
        (
            'Negotiate, Basic realm="r"',
            [Challenge("negotiate"), Challenge("basic", (("realm", "r"),))],
        ),
        (
            'Basic realm="r", Bearer realm="t"',
            [Challenge("basic", (("realm", "r"),)), Challenge("bearer", (("realm", "t"),))],
        ),
        ('Bearer realm="unfinished', [Challenge("bearer")]),
    ],
)
def test_headers(header: str, wanted: list[Challenge]) -> None:
    assert parse(header)[: len(wanted)] == wanted
    assert bool(parse(header)) == bool(wanted)


def test_a_long_header_takes_no_time() -> None:
    assert len(parse('Basic realm="' + "\\" * 1_000_000)) <= 2
