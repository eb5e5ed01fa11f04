"""Seals: the words of podman and umoci, ours, and what is none of them."""

from __future__ import annotations

import stat

import pytest

from udockpy.layer.fakedb import MODE, NODE, OWNER, Record
from udockpy.layer.seal import (
    OURS,
    OVERRIDE,
    ROOTLESS,
    Pretence,
    list_lines,
    parse_list,
    seals,
    unsealed,
)

BOTH = OWNER | MODE
# What a file pretends, and what its seals say.
SEALED = [
    (Record(BOTH, 0, 0, 0o755), {OVERRIDE: b"0:0:0755"}),
    (
        Record(BOTH, 33, 33, 0o4755),
        {OVERRIDE: b"33:33:04755", ROOTLESS: b"\x08\x21\x10\x21"},
    ),
    (
        Record(BOTH, 0, 4242, 0),
        {OVERRIDE: b"0:4242:00", ROOTLESS: b"\x08\x00\x10\x92\x21"},
    ),
    (
        Record(BOTH | NODE, 0, 6, stat.S_IFBLK | 0o660, (8, 17)),
        {OVERRIDE: b"0:6:0660:block-8-17", ROOTLESS: b"\x08\x00\x10\x06"},
    ),
    (
        Record(BOTH | NODE, 0, 0, stat.S_IFCHR | 0o666, (1, 3)),
        {OVERRIDE: b"0:0:0666:char-1-3"},
    ),
]


@pytest.mark.parametrize(("record", "attributes"), SEALED)
def test_a_record_and_its_seals(record: Record, attributes: dict[str, bytes]) -> None:
    assert seals(Pretence(record)) == attributes
    assert unsealed(attributes) == (record, {})


def test_attributes_go_along() -> None:
    pretence = Pretence(Record(BOTH, 1, 2, 0o755), {"security.capability": b"\0\1\xff"})
    attributes = seals(pretence)
    assert attributes[f"{OURS}security.capability"] == b"\0\1\xff"
    assert unsealed(attributes) == pretence


@pytest.mark.parametrize(
    ("attributes", "record"),
    [
        ({OVERRIDE: b"5:6:0100640"}, Record(BOTH, 5, 6, 0o640)),  # with the type in the mode
        ({OVERRIDE: b"5:6:0640:file"}, Record(BOTH, 5, 6, 0o640)),
        ({OVERRIDE: b"5:6:0750:dir"}, Record(BOTH, 5, 6, 0o750)),
        ({ROOTLESS: b"\x10\x2a"}, Record(OWNER, 0, 42)),  # protobuf leaves zeros out
        ({ROOTLESS: b"\x08\xff\xff\xff\xff\x0f\x10\xff\xff\xff\xff\x0f"}, Record(0)),  # no-op
        ({ROOTLESS: b"\x08\x01\x10\x02", OVERRIDE: b"3:4:0600"}, Record(BOTH, 3, 4, 0o600)),
        ({ROOTLESS: b"\x08\x01\x10\x02", OVERRIDE: b"nonsense"}, Record(OWNER, 1, 2)),
        ({}, Record(0)),
        ({OVERRIDE: b""}, Record(0)),
        ({OVERRIDE: b"a:b:c"}, Record(0)),
        ({OVERRIDE: b"1:2"}, Record(0)),
        ({OVERRIDE: b"1:2:9"}, Record(0)),
        ({OVERRIDE: b"1:2:0600:char-1"}, Record(0)),
        ({OVERRIDE: b"\xff\xfe"}, Record(0)),
        ({ROOTLESS: b"\x08"}, Record(0)),
        ({ROOTLESS: b"\x08\x80"}, Record(0)),
    ],
)
def test_what_others_write(attributes: dict[str, bytes], record: Record) -> None:
    assert unsealed(attributes) == (record, {})


def test_a_list_is_read_as_it_was_written() -> None:
    entries = {
        "etc/shadow": Pretence(Record(BOTH, 0, 42, 0o640)),
        "name\nwith\udcffbytes": Pretence(Record(BOTH, 1, 2, 0o644), {"trusted.x": b"\0"}),
        "": Pretence(Record(BOTH | NODE, 0, 0, stat.S_IFCHR | 0o600, (1, 3))),
    }
    lines = list(list_lines(entries.items()))
    assert all(line.count("\n") == 1 for line in lines)
    assert parse_list(lines) == entries


@pytest.mark.parametrize("line", ["x", "[]", "{}", '{"path": "a"}', '{"path": "a", "stat": 5}'])
def test_what_is_no_list_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"list|Expecting|decode"):
        parse_list([line])
