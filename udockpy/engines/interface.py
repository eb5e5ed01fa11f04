"""What every engine answers, and the values it answers with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from udockpy.container.guest import Program
from udockpy.container.plan import Plan
from udockpy.native import HINT


class Probe(NamedTuple):
    """What a helper found out by trying."""

    works: bool
    step: str = ""  # where it failed
    error: str = ""  # with which errno (EPERM), "" where it was none
    reason: str = ""  # why, in words
    missing: bool = False  # there is no helper that could try
    lacks: tuple[str, ...] = ()  # what is not needed, was tried too, and did not work


class Host(NamedTuple):
    """What this node allows. Gathered once, by trying."""

    machine: str
    probes: Mapping[str, Probe]  # of each engine, by its name
    foreign: tuple[str, ...] = ()  # machines whose programs binfmt_misc runs


class Support(NamedTuple):
    """An engine's answer: yes, or the reason and what would help."""

    works: bool
    reason: str = ""
    remedy: str = ""


class Launch(NamedTuple):
    """What to execute: a helper, its words, its environment, and descriptors it inherits."""

    argv: tuple[str, ...]
    environ: tuple[tuple[str, str], ...]
    fds: tuple[int, ...] = ()


class Engine(Protocol):
    """A way to run a guest. All questions are pure."""

    helper: str  # the program in libexec that runs it; HELPER --probe tries all that it needs
    gives: str  # what is lost where it does not work

    def probe(self, host: Host) -> Support:
        """Whether this node allows the engine at all."""
        ...

    def fits(self, plan: Plan, program: Program, host: Host) -> Support:
        """Whether the engine can do what the plan asks, with this program."""
        ...

    def launch(self, plan: Plan) -> Launch:
        """What to execute."""
        ...


YES = Support(works=True)


def support_of(probe: Probe, what: str, remedy: str) -> Support:
    """What a probe means for an engine that needs `what`."""
    if probe.works:
        return YES
    if probe.missing:
        return Support(works=False, reason=probe.reason, remedy=HINT)
    if probe.step == "statx":
        reason = f"it needs statx(2), which Linux has since 4.11 ({probe.reason})"
        remedy = "use a newer kernel, or have the filter around this session allow the call"
        return Support(works=False, reason=reason, remedy=remedy)
    reason = f"{what} do not work here ({probe.step}: {probe.reason})"
    return Support(works=False, reason=reason, remedy=remedy)
