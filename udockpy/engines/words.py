"""Plan -> words of the helpers' grammar (engines/core/plan.h): small functions, each a fragment,
spliced by engines.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.container.plan import Plan


def view(plan: Plan) -> list[str]:
    """Who makes guest paths mean guest files: the root, then binds in their order."""
    words = ["--ro-rootfs" if plan.read_only else "--rootfs", plan.rootfs]
    if plan.overlay:
        words += ["--overlay", f"{plan.overlay}/upper", f"{plan.overlay}/work"]
    for bind in plan.binds:
        words += ["--ro-bind" if bind.read_only else "--bind", bind.source, bind.target]
    words += ["--chdir", plan.chdir]
    return words


def cache(plan: Plan) -> list[str]:
    return ["--cache", plan.cache] if plan.cache else []


def pretence(plan: Plan) -> list[str]:
    """The pretended identity, what becomes of shared files, and the memory of both."""
    if not plan.identity.pretend and not plan.shared:
        return []
    return [
        *(["--pretend"] if plan.identity.pretend else []),
        *(["--shared"] if plan.shared else []),
        *(["--owners", plan.owners] if plan.owners else []),
        *(["--fakedb", plan.fakedb] if plan.fakedb else []),
    ]


def identity(plan: Plan) -> list[str]:
    """Ids; groups only with pretence, for the user's own cannot be changed."""
    who = plan.identity
    words = ["--uid", str(who.uid), "--gid", str(who.gid)]
    if who.pretend:
        words += ["--groups", ",".join(map(str, who.groups or (who.gid,)))]
    return words


def namespaces(plan: Plan) -> list[str]:
    return [f"--unshare-{name}" for name in plan.namespaces] + (
        ["--hostname", plan.hostname] if plan.hostname else []
    )


def command(plan: Plan) -> list[str]:
    return ["--", *plan.command]
