"""What the reference tracer does with each row of the table, without a tracee."""

from __future__ import annotations

import errno

import pytest

pytest.importorskip("ptrace", reason="python-ptrace is not installed")

from udockpy.tracer import calls, core
from udockpy.tracer.tracee import FOREIGN

NUMBERS = {row.name: nr for nr in range(core.last_number() + 1) if (row := core.row(nr))}
ROWS = {name: row for name, nr in NUMBERS.items() if (row := core.row(nr))}
HERE = {
    name: row
    for name, row in ROWS.items()
    if row.groups & (core.PATH | core.GUARD)
    and row.when not in (core.WHEN_HIDDEN, core.WHEN_ADDRESS, core.WHEN_IOCTL)
}


class Call:
    """A thread that is about to make a call with arguments of one value."""

    def __init__(self, number: int, argument: int = 1) -> None:
        self.number = number
        self.answered: int | None = None
        self._argument = argument

    def argument(self, index: int) -> int:
        return self._argument

    def answer(self, result: int) -> None:
        self.answered = result


def answer(number: int, argument: int = 1) -> int | None:
    call = Call(number, argument)
    calls.enter(call)  # type: ignore[arg-type]
    return call.answered


def test_the_mirrored_table_is_the_cores() -> None:
    assert len(ROWS) > 150
    assert ROWS["renameat2"].paths == (
        core.PathArgument(0, 1, core.RULE_PARENT, 0),
        core.PathArgument(2, 3, core.RULE_PARENT, 0),
    )
    assert (ROWS["mount"].when, ROWS["mount"].when_argument) == (core.WHEN_REFUSE, errno.EPERM)


@pytest.mark.parametrize("name", HERE)
def test_every_row_is_decided_upon(name: str) -> None:
    row = HERE[name]
    assert row.when == core.WHEN_REFUSE or row.paths or name in calls.HANDLERS


def test_no_handler_is_for_a_call_that_is_not_in_the_table() -> None:
    assert set(calls.HANDLERS) <= set(HERE)
    assert set(HERE) >= (calls.MAKES | calls.LINKS | calls.WRITES | calls.ACCESS)


def test_refused_as_the_table_says() -> None:
    assert answer(NUMBERS["clone3"]) == -errno.ENOSYS
    assert answer(NUMBERS["mount"]) == -errno.EPERM


def test_a_call_that_nothing_is_known_of_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer(core.last_number() + 1) == -errno.ENOSYS
    assert answer(FOREIGN) == -errno.ENOSYS
    monkeypatch.delitem(calls.HANDLERS, "bind")
    assert answer(NUMBERS["bind"]) == -errno.ENOSYS


def test_no_new_namespace_and_no_escape_from_the_tracer() -> None:
    for flag in (0x10000000, calls.CLONE_UNTRACED):
        assert answer(NUMBERS["clone"], flag) == -errno.EPERM
    assert answer(NUMBERS["unshare"], calls.CLONE_NEWTIME) == -errno.EPERM
    assert answer(NUMBERS["clone"], 0x4111) is None


def test_what_is_of_no_concern_passes() -> None:
    assert answer(NUMBERS["close"]) is None
    assert answer(NUMBERS["sendto"], 0) is None
