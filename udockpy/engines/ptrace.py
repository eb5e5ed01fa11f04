"""The `ptrace` engine: a tracer sends the guest's system calls to our code in its own process."""

from __future__ import annotations

from udockpy.engines.interface import Support, support_of
from udockpy.engines.trap import Trap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.engines.interface import Host


class Ptrace(Trap):
    """What `trap` does, with another way to catch the calls: the same code answers them."""

    helper = "udockpy-ptrace"
    gives = "translation and pretended root where seccomp filters are forbidden too"

    def probe(self, host: Host) -> Support:
        return support_of(
            host.probes["ptrace"],
            "traced processes",
            "ask the administrator to allow users to trace their own processes"
            " (kernel.yama.ptrace_scope of 0 or 1; in a container, a seccomp profile with ptrace)",
        )
