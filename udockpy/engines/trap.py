"""The `trap` engine: seccomp hands the guest's system calls to our code inside its own process."""

from __future__ import annotations

from udockpy.engines import translation
from udockpy.engines.interface import Launch, Support, support_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.container.guest import Program
    from udockpy.container.plan import Plan
    from udockpy.engines.interface import Host


class Trap:
    """A translated view and a pretended identity, without any privilege of the kernel's."""

    helper = "udockpy-trap"
    gives = "translation at native speed, and pretended root under userns"

    def probe(self, host: Host) -> Support:
        return support_of(
            host.probes["trap"],
            "unprivileged seccomp filters",
            "ask the administrator to allow them (udockpy doctor says who forbids them)",
        )

    def fits(self, plan: Plan, program: Program, host: Host) -> Support:
        return translation.fits(plan, program, host)

    def launch(self, plan: Plan) -> Launch:
        return translation.launch(self.helper, plan)
