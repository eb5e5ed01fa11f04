"""The `ptrace` engine: a tracer sends the guest's system calls to our code in its own process."""

from __future__ import annotations

from udockpy.engines import translation
from udockpy.engines.interface import Support, support_of
from udockpy.engines.trap import Trap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.container.guest import Program
    from udockpy.container.plan import Plan
    from udockpy.engines.interface import Host

I386 = "i386"  # the machine, and what the helper's probe calls the ability
REMEDY = (
    "install a udockpy that was built by a compiler that knows -m32,"
    " on a kernel that runs 32-bit programs (CONFIG_IA32_EMULATION)"
)


class Ptrace(Trap):
    """What `trap` does, with another way to catch the calls: the same code answers them."""

    helper = "udockpy-ptrace"
    gives = "translation and pretended root where seccomp filters are forbidden too"

    def fits(self, plan: Plan, program: Program, host: Host) -> Support:
        if program.machine == I386 and host.machine == "x86_64":
            if I386 not in host.probes["ptrace"].lacks:
                return translation.fits(plan, program, host, machines=(I386,))
            reason = (
                f"{program.path} is a program for i386, which {self.helper}-i386 cannot run here"
            )
            return Support(works=False, reason=reason, remedy=REMEDY)
        return super().fits(plan, program, host)

    def probe(self, host: Host) -> Support:
        return support_of(
            host.probes["ptrace"],
            "traced processes",
            "ask the administrator to allow users to trace their own processes"
            " (kernel.yama.ptrace_scope of 0 or 1; in a container, a seccomp profile with ptrace)",
        )
