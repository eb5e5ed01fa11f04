"""The `userns` engine: the kernel makes the view; pretence comes from the kernel's id map, or from
`trap` inside.
"""

from __future__ import annotations

from udockpy import native
from udockpy.engines import trap, words
from udockpy.engines.interface import YES, Launch, Support, support_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.container.guest import Program
    from udockpy.container.plan import Plan
    from udockpy.engines.interface import Host

# Machines whose programs another one's kernel runs.
COMPATIBLE = {"x86_64": ("i386", "x32"), "aarch64": ("arm",)}


class Userns:
    """Mount and user namespaces."""

    helper = "udockpy-userns"
    gives = (
        "the kernel's own view, i386 guests, foreign guests by qemu-user,"
        " --pid, --ipc, --net and --hostname"
    )

    def probe(self, host: Host) -> Support:
        return support_of(
            host.probes["userns"],
            "user namespaces",
            "ask the administrator to allow them (udockpy doctor says who forbids them)",
        )

    def fits(self, plan: Plan, program: Program, host: Host) -> Support:
        runs = (host.machine, *COMPATIBLE.get(host.machine, ()), *host.foreign)
        if program.machine and program.machine not in runs:
            reason = f"{program.path} is a program for {program.machine}, this is {host.machine}"
            return Support(
                works=False,
                reason=reason,
                remedy=f"use a guest made for {host.machine}, or install qemu-user",
            )
        if plan.rootfs == "/":
            reason = "it cannot give a guest the host's own root directory"
            return Support(works=False, reason=reason, remedy="use --engine trap")
        if plan.overlay and "overlay" in host.probes["userns"].lacks:
            reason = "this kernel has no overlays for ordinary users"
            return Support(works=False, reason=reason, remedy="make a container: udockpy create")
        if plan.map_subuids and _writes_shared(plan):
            reason = "the root of mapped ids could write to the image's files, which it shares"
            return Support(works=False, reason=reason, remedy="set map_subuids = no")
        if not needs_identity_helper(plan):
            return YES
        pretence = host.probes["trap"]
        if not pretence.works:
            why = f"{pretence.step}: {pretence.reason}"
            reason = f"{_what_helps(plan)} needs what trap needs ({why})"
            return Support(works=False, reason=reason, remedy="set map_subuids, or run as yourself")
        if program.machine and program.machine != host.machine:
            lack = "no pretence" if plan.identity.pretend else "no sharing of an image's files"
            reason = f"{program.path} is a program for {program.machine}, for which there is {lack}"
            return Support(works=False, reason=reason, remedy="run it as yourself, without --root")
        return YES

    def launch(self, plan: Plan) -> Launch:
        return Launch(
            argv=(
                native.helper(self.helper),
                *words.view(_without_needless_binds(plan)),
                *words.identity(plan),
                *_pretence(plan),
                *words.namespaces(plan),
                *words.command(plan),
            ),
            environ=plan.environment,
        )


def _without_needless_binds(plan: Plan) -> Plan:
    """Where the kernel has no mount point in a directory, that directory must be covered, and
    cannot be written to any more. A root who installs packages needs /etc more than the host's
    /etc/hosts in it. Where `trap` pretends inside, it shows such files too.
    """
    if not plan.map_subuids:
        return plan
    kept = tuple(bind for bind in plan.binds if not (bind.optional and bind.appears))
    return plan._replace(binds=kept)


def needs_identity_helper(plan: Plan) -> bool:
    """Whether `trap` must pretend inside the namespace, or keep the image's files as they are."""
    return (plan.identity.pretend or _writes_shared(plan)) and not plan.map_subuids


def _writes_shared(plan: Plan) -> bool:
    return plan.shared and not plan.read_only


def _what_helps(plan: Plan) -> str:
    return "pretending to be another user" if plan.identity.pretend else "sharing an image's files"


def _pretence(plan: Plan) -> list[str]:
    if plan.map_subuids:
        # The kernel's own root of the mapped ids: it keeps its capabilities; owners are real.
        return ["--map-subuids", *(["--pretend"] if plan.identity.pretend else [])]
    if not needs_identity_helper(plan):
        return []
    return [*words.pretence(plan), "--identity-helper", native.helper(trap.Trap.helper)]
