"""The `trap` engine: seccomp hands the guest's system calls to our code inside its own process."""

from __future__ import annotations

from udockpy import native
from udockpy.engines import words
from udockpy.engines.interface import YES, Launch, Support, support_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.container.guest import Program
    from udockpy.container.plan import Plan
    from udockpy.engines.interface import Host


class Trap:
    """A translated view and a pretended identity, without any privilege of the kernel's."""

    helper = "udockpy-trap"

    def probe(self, host: Host) -> Support:
        return support_of(
            host.probes["trap"],
            "unprivileged seccomp filters",
            "use a node whose kernel has CONFIG_SECCOMP_FILTER",
        )

    def fits(self, plan: Plan, program: Program, host: Host) -> Support:
        if program.machine and program.machine != host.machine:
            reason = f"{program.path} is a program for {program.machine}, not for {host.machine}"
            return Support(
                works=False, reason=reason, remedy=f"use a guest made for {host.machine}"
            )
        if plan.namespaces:
            reason = f"it cannot give a guest its own {' and '.join(plan.namespaces)} namespace"
            return Support(
                works=False, reason=reason, remedy="leave out --pid, --ipc, --net and --hostname"
            )
        if plan.map_subuids:
            return Support(
                works=False, reason="it cannot map subordinate ids", remedy="set map_subuids = no"
            )
        return YES

    def launch(self, plan: Plan) -> Launch:
        return Launch(
            argv=(
                native.helper(self.helper),
                *words.view(plan),
                *words.cache(plan),
                *words.identity(plan),
                *words.pretence(plan),
                *words.command(plan),
            ),
            environ=plan.environment,
        )
