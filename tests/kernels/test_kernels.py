"""doctor and the engines inside real kernels, each set up as administrators set them up: ``make
test-kernels``, for a kernel takes a quarter of an hour without hardware virtualisation.

session.py gathers; here it is judged.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable

import pytest
from machine import boot, there
from session import END, ENGINES, SETTINGS
from support.limits import LIMITS, lacks
from support.world import DEFAULT, lines_by_name, missing

pytestmark = pytest.mark.long

KERNELS = ("5.10", "6.1", "6.12")
LOCAL = "as installed"
# Checks that may differ because of the machine's speed.
TOLERATED = {
    "timer_storm": "thirty seconds are not enough for it where every instruction is emulated",
    "program_written_while_it_runs": "a program that was just started is not known as running yet",
}
OUTPUTS = {"script": "5:6 4751\n0\n1\n", "package": "0:0 4755\n6:7 700\n1\n"}

Fact = dict[str, Any]


class Report:
    """What one boot brought."""

    def __init__(self, facts: list[Fact]) -> None:
        self.facts = facts

    def all(self, kind: str, **about: str) -> list[Fact]:
        return [
            fact
            for fact in self.facts
            if fact["kind"] == kind and all(fact[name] == what for name, what in about.items())
        ]

    def one(self, kind: str, **about: str) -> Fact:
        (fact,) = self.all(kind, **about)
        return fact


@pytest.fixture(scope="module", params=KERNELS)
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Report:
    kernels = Path(os.environ.get("UDOCKPY_WORLD", DEFAULT)) / "kernels"
    if not there() or not (kernels / "system.ext4").exists():
        missing(f"{kernels}: not there (as root: tests/world/kernels.py)")
    place = tmp_path_factory.mktemp(f"kernel-{request.param}")
    facts = boot(kernels, request.param, place)
    console = (place / "console").read_text(errors="replace")[-3000:]
    assert facts, console
    assert facts[-1]["kind"] == END, console
    assert facts[0]["release"].startswith(request.param)
    return Report(facts)


@pytest.fixture(params=SETTINGS)
def setting(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def works(name: str) -> list[str]:
    """The engines that the setting leaves."""
    return [engine for engine in ENGINES if engine not in dict(SETTINGS[name].forbids)]


def test_doctor_tells_the_truth(report: Report, setting: str) -> None:
    fact = report.one("doctor", setting=setting)
    assert fact["status"] == 0, fact["output"]
    found = json.loads(fact["output"])
    assert [engine["name"] for engine in found["engines"] if engine["works"]] == works(setting)
    blamed = {
        engine["name"]: engine["cause"]["who"] for engine in found["engines"] if engine["cause"]
    }
    assert blamed == dict(SETTINGS[setting].forbids)
    kind = "nfs" if SETTINGS[setting].nfs else "ext4"
    assert found["state"]["kind"].startswith(kind)


def test_auto_takes_the_first_engine_that_works(report: Report, setting: str) -> None:
    fact = report.one("auto", setting=setting)
    lines = fact["output"].splitlines()
    assert (fact["status"], lines[-1]) == (0, "0"), fact["output"]
    assert lines[0].startswith(f"udockpy: engine {works(setting)[0]} ")


def test_every_engine_that_works_runs_guests(report: Report, setting: str) -> None:
    facts = report.all("run", setting=setting)
    wrong = [
        fact for fact in facts if (fact["status"], fact["output"]) != (0, OUTPUTS[fact["run"]])
    ]
    assert not wrong
    assert {(fact["engine"], fact["guest"]) for fact in facts} == {
        (engine, guest) for engine in works(setting) for guest in SETTINGS[setting].guests
    }


def oracle(report: Report, setting: str, who: str) -> dict[str, str]:
    """What the kernel itself does; not what even there fails (in a chroot process 1 is outside)."""
    lines = lines_by_name(report.one("oracle", setting=setting, who=who)["output"])
    return {name: line for name, line in lines.items() if line.startswith("ok ")}


def expected(report: Report, fact: Fact) -> dict[str, str]:
    """What the same kernel does without us. On NFS there is no real root to ask: there a pretended
    one has what root has elsewhere, but for what NFS changes for the user."""
    setting, who = fact["setting"], fact["who"]
    if who == "user" or not SETTINGS[setting].nfs:
        return oracle(report, setting, who)
    user, user_on_nfs = oracle(report, LOCAL, "user"), oracle(report, setting, "user")
    root = oracle(report, LOCAL, "root")
    return {name: line for name, line in root.items() if user.get(name) == user_on_nfs.get(name)}


def differences(report: Report, fact: Fact) -> dict[str, tuple[str, str]]:
    """Check -> what is expected of it, and what came; limits of the engine excepted."""
    want, found = expected(report, fact), lines_by_name(fact["output"])
    assert len(found) > 100, fact["output"]
    return {
        name: (line, found.get(name, "(not run)"))
        for name, line in want.items()
        if found.get(name) != line
        and not (name in LIMITS and lacks(fact["engine"], name))
        and name not in TOLERATED
    }


def expected_users(setting: str, engine: str) -> set[str]:
    asked = engine in works(setting) and engine in SETTINGS[setting].engines
    return set(SETTINGS[setting].torture) if asked else set()


@pytest.mark.parametrize("engine", ENGINES)
def test_torture_as_under_a_real_chroot(report: Report, setting: str, engine: str) -> None:
    facts = report.all("torture", setting=setting, engine=engine)
    assert {fact["who"] for fact in facts} == expected_users(setting, engine)
    found = {
        f"{fact['who']}: {name}": lines
        for fact in facts
        for name, lines in differences(report, fact).items()
    }
    assert not found, "\n".join(f"{name}:\n  {a}\n  {b}" for name, (a, b) in found.items())


def cell(report: Report, setting: str, engine: str) -> str:
    """What the table of the documentation says."""
    blamed = dict(SETTINGS[setting].forbids).get(engine)
    if blamed:
        return f"no: {blamed}"
    facts = report.all("torture", setting=setting, engine=engine)
    checks = sum(len(expected(report, fact)) for fact in facts)
    return f"runs, {checks} checks" if checks else "runs"


def test_row(report: Report, setting: str, record_property: Callable[[str, object], None]) -> None:
    """The last: what the tests above found, for scripts/table."""
    kernel = report.one("kernel")["release"]
    assert report.all("doctor", setting=setting)
    record_property("kernel", kernel)
    record_property("setting", setting)
    for engine in ENGINES:
        record_property(f"`{engine}`", cell(report, setting, engine))
