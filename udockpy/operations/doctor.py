"""doctor: what works on this node, what does not, who forbids it, and what would allow it."""

from __future__ import annotations

from typing import Any, NamedTuple

from udockpy import __version__, native
from udockpy import home as homes
from udockpy.engines import BY_NAME, ENGINES, diagnosis, host, ptrace_py, signs
from udockpy.engines.ptrace import I386
from udockpy.errors import Error
from udockpy.store import filesystem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.engines.diagnosis import Cause
    from udockpy.engines.interface import Host
    from udockpy.engines.signs import Signs
    from udockpy.home import Home
    from udockpy.native import Health
    from udockpy.store.filesystem import Filesystem


class Finding(NamedTuple):
    """Something that works here or does not, why, and what is lost with it."""

    name: str
    works: bool
    reason: str = ""
    cause: Cause | None = None
    lost: str = ""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "works": self.works,
            "reason": self.reason or None,
            "cause": self.cause._asdict() if self.cause else None,
            "lost": self.lost or None,
        }


class Report(NamedTuple):
    """All that doctor found."""

    engines: tuple[Finding, ...]
    extras: tuple[Finding, ...]  # what a run can do without
    helpers: tuple[Health, ...]
    state: Filesystem | None
    state_problem: str = ""

    @property
    def usable(self) -> bool:
        """Whether some engine runs guests here."""
        return any(engine.works for engine in self.engines)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "usable": self.usable,
            "engines": [finding.document() for finding in self.engines],
            "extras": [finding.document() for finding in self.extras],
            "helpers": [helper._asdict() for helper in self.helpers],
            "state": {**self.state._asdict(), "network": self.state.network}
            if self.state
            else None,
            "state_problem": self.state_problem or None,
        }


def examine(environ: Mapping[str, str]) -> Report:
    """Tries everything anew."""
    home, problem = _home(environ)
    node = host.gather(home, fresh=True)
    seen = signs.gather()
    return Report(
        engines=tuple(_engine(name, node, seen) for name in ENGINES),
        extras=(*_subuids(node, seen), *_i386(node), _python_ptrace(node), _fuse(seen)),
        helpers=tuple(native.health(__version__, node.machine)),
        state=_state(home) if home else None,
        state_problem=problem,
    )


def _home(environ: Mapping[str, str]) -> tuple[Home | None, str]:
    try:
        return homes.find(environ), ""
    except Error as e:
        return None, f"{e} ({e.hint})"


def _state(home: Home) -> Filesystem:
    mount = signs.mount_of(filesystem.nearest(home.path))
    return filesystem.examine(home.path, mount.kind if mount else "unknown")


def _engine(name: str, node: Host, seen: Signs) -> Finding:
    engine = ENGINES[name]
    support = engine.probe(node)
    if support.works:
        return Finding(name, works=True)
    cause = diagnosis.diagnose(node.probes[name], seen)
    return Finding(name, works=False, reason=support.reason, cause=cause, lost=engine.gives)


def _subuids(node: Host, seen: Signs) -> list[Finding]:
    """Subordinate ids are asked about where user namespaces are there to map them."""
    probe = node.probes["userns"]
    if not probe.works:
        return []
    if "subuids" not in probe.lacks:
        return [Finding("subordinate ids", works=True)]
    lost = "map_subuids: the pretence of another engine stands in for other users' ids"
    cause = diagnosis.diagnose_subuids(seen)
    return [Finding("subordinate ids", works=False, reason=cause.what, cause=cause, lost=lost)]


def _i386(node: Host) -> list[Finding]:
    """i386 programs are asked about where the tracer is there to run them."""
    probe = node.probes["ptrace"]
    if node.machine != "x86_64" or not probe.works:
        return []
    if I386 not in probe.lacks:
        return [Finding("i386 under ptrace", works=True)]
    reason = "udockpy-ptrace-i386 is not there, or the kernel runs no i386 programs"
    lost = "i386 guests where there are no user namespaces, and their pretended root"
    return [Finding("i386 under ptrace", works=False, reason=reason, lost=lost)]


def _python_ptrace(node: Host) -> Finding:
    """Whether its parts are there; tracing itself is the engine ptrace's to try."""
    engine = BY_NAME[ptrace_py.NAME]
    support = engine.probe(node)
    if support.works:
        return Finding(ptrace_py.NAME, works=True)
    reason = f"{support.reason} ({support.remedy})"
    return Finding(ptrace_py.NAME, works=False, reason=reason, lost=engine.gives)


def _fuse(seen: Signs) -> Finding:
    if not seen.fuse:
        return Finding("/dev/fuse", works=True)
    return Finding(
        "/dev/fuse",
        works=False,
        reason=f"it cannot be opened: {seen.fuse}",
        lost="nothing of udockpy's: no engine needs it",
    )
