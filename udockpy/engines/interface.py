"""What every engine answers, and the values it answers with."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from udockpy.container.guest import Program
from udockpy.container.plan import Plan


class Probe(NamedTuple):
    """What a helper found out by trying."""

    works: bool
    step: str = ""  # where it failed
    reason: str = ""  # why, in words
    missing: bool = False  # there is no helper that could try


class Host(NamedTuple):
    """What this node allows. Gathered once, by trying."""

    machine: str
    userns: Probe
    trap: Probe
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
