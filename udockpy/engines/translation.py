"""What the engines share that translate paths themselves: what no translation can give a guest, and
the words that all their helpers read.
"""

from __future__ import annotations

from udockpy import native
from udockpy.engines import words
from udockpy.engines.interface import YES, Launch, Support

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.container.guest import Program
    from udockpy.container.plan import Plan
    from udockpy.engines.interface import Host


def fits(plan: Plan, program: Program, host: Host, machines: tuple[str, ...] = ()) -> Support:
    """Whether translation can do what the plan asks, with this program. `machines` are those that
    run here beside the host's own.
    """
    if program.machine and program.machine not in (host.machine, *machines):
        reason = f"{program.path} is a program for {program.machine}, not for {host.machine}"
        return Support(works=False, reason=reason, remedy=f"use a guest made for {host.machine}")
    if plan.namespaces:
        reason = f"it cannot give a guest its own {' and '.join(plan.namespaces)} namespace"
        return Support(
            works=False, reason=reason, remedy="leave out --pid, --ipc, --net and --hostname"
        )
    if plan.overlay:
        reason = "it cannot lay a container over its image"
        return Support(works=False, reason=reason, remedy="make a container: udockpy create")
    if plan.map_subuids:
        return Support(
            works=False, reason="it cannot map subordinate ids", remedy="set map_subuids = no"
        )
    return YES


def launch(helper: str, plan: Plan) -> Launch:
    """What to execute."""
    return Launch(
        argv=(
            native.helper(helper),
            *words.view(plan),
            *words.cache(plan),
            *words.identity(plan),
            *words.pretence(plan),
            *words.command(plan),
        ),
        environ=plan.environment,
    )
