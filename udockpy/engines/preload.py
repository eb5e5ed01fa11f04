"""The `preload` engine: the guest's system call instructions are rewritten when code is loaded. It
asks nothing of the node, and so comes last.
"""

from __future__ import annotations

from udockpy.engines import translation
from udockpy.engines.interface import Launch, Support, support_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.container.guest import Program
    from udockpy.container.plan import Plan
    from udockpy.engines.interface import Host


class Preload:
    """A translated view and a pretended identity, without any help of the kernel's."""

    helper = "udockpy-preload"
    gives = "guests on a node that allows nothing else"

    def probe(self, host: Host) -> Support:
        return support_of(
            host.probes["preload"],
            "programs that change their own code",
            "ask the administrator to allow execmod (SELinux) or to lift memory-deny-write-execute",
        )

    def fits(self, plan: Plan, program: Program, host: Host) -> Support:
        return translation.fits(plan, program, host)

    def launch(self, plan: Plan) -> Launch:
        return translation.launch(self.helper, plan)
