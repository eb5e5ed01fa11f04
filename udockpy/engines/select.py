"""Chooses the engine of a run. Pure: the host, the guest and the plan are values."""

from __future__ import annotations

from typing import NamedTuple

from udockpy.engines import BY_NAME, ENGINES
from udockpy.engines.interface import Engine, Support
from udockpy.errors import EngineError, Error, HelperError, UsageError
from udockpy.native import HINT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.container.guest import Program
    from udockpy.container.plan import Plan
    from udockpy.engines.interface import Host

AUTO = "auto"


class Rejected(NamedTuple):
    """An engine that was passed over."""

    name: str
    support: Support

    def describe(self) -> str:
        return f"{self.name}: {self.support.reason}"


class Choice(NamedTuple):
    """The engine of a run, and why: it was asked for, or `auto` could not take an earlier one."""

    name: str
    engine: Engine
    rejected: tuple[Rejected, ...]
    asked_for: bool

    def describe(self) -> str:
        why = "; ".join(item.describe() for item in self.rejected)
        if not why:
            why = "asked for" if self.asked_for else "the first that auto tries"
        return f"engine {self.name} ({why})"

    def passed_over(self) -> list[dict[str, str]]:
        """Each engine that was passed over, for JSON."""
        return [
            {"engine": name, "reason": support.reason, "remedy": support.remedy}
            for name, support in self.rejected
        ]


def select(plan: Plan, host: Host, program: Program, wanted: str) -> Choice:
    """The wanted engine, or the first of all that can do it (`auto`)."""
    candidates = ENGINES if wanted == AUTO else {**ENGINES, **BY_NAME}
    if wanted != AUTO and wanted not in candidates:
        names = ", ".join((AUTO, *candidates))
        hint = "--engine, UDOCKPY_ENGINE or the configuration file named it"
        raise UsageError("unknown engine", wanted, f"not one of {names}", hint=hint)
    rejected: list[Rejected] = []
    for name, engine in candidates.items():
        if wanted not in (AUTO, name):
            continue
        support = _ask(engine, plan, host, program)
        if support.works:
            return Choice(name, engine, tuple(rejected), asked_for=wanted != AUTO)
        rejected.append(Rejected(name, support))
    raise _refusal(rejected, host, wanted)


def _ask(engine: Engine, plan: Plan, host: Host, program: Program) -> Support:
    support = engine.probe(host)
    return engine.fits(plan, program, host) if support.works else support


def _refusal(rejected: list[Rejected], host: Host, wanted: str) -> Error:
    reasons = "; ".join(item.describe() for item in rejected)
    if all(host.probes[item.name].missing for item in rejected):
        return HelperError("cannot run", "", reasons, hint=HINT)
    hint = (
        rejected[-1].support.remedy
        if wanted == AUTO
        else f"{rejected[-1].support.remedy}; or use --engine auto"
    )
    return EngineError("no engine can do this", "", reasons, hint=hint)
