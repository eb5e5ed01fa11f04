"""The `ptrace-py` engine: a tracer in Python, which is slow, small and shows what it does."""

from __future__ import annotations

import sys

from udockpy.engines import translation, words
from udockpy.engines.interface import YES, Launch, Support
from udockpy.native import HINT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.container.guest import Program
    from udockpy.container.plan import Plan
    from udockpy.engines.interface import Host

NAME = "ptrace-py"
MACHINE = "x86_64"
MODULE = "ptrace"  # of the package python-ptrace
# Isolated from the environment and the working directory, but with the modules that are found here.
START = (
    "import sys; sys.path[:] = sys.argv.pop(1).split(':');"
    " from udockpy.tracer.command import main; main(sys.argv[1:])"
)


class PtracePy:
    """A translated view by a second implementation. Taken when it is asked for."""

    helper = "libudockpy-core.so"
    gives = "udockpy trace, and the engine ptrace-py"

    def probe(self, host: Host) -> Support:
        probe = host.probes[NAME]
        if probe.works:
            return YES
        if probe.missing:
            return Support(works=False, reason=probe.reason, remedy=HINT)
        remedy = "install it: pip install 'udockpy[trace]'"
        if probe.step != MODULE:
            remedy = "use another engine"
        return Support(works=False, reason=probe.reason, remedy=remedy)

    def fits(self, plan: Plan, program: Program, host: Host) -> Support:
        if plan.identity.pretend:
            remedy = "leave out --root and --user"
            return Support(works=False, reason="it pretends no identity", remedy=remedy)
        if plan.shared and not plan.read_only:
            reason = "it cannot keep the files that a container shares with its image"
            return Support(works=False, reason=reason, remedy="use --engine auto")
        return translation.fits(plan, program, host)

    def launch(self, plan: Plan) -> Launch:
        environment = [
            word for name, value in plan.environment for word in ("--setenv", name, value)
        ]
        return Launch(
            argv=(
                *_tracer(),
                *words.view(plan),
                *environment,
                *words.command(plan),
            ),
            environ=(),
        )


def watching(launch: Launch, words: tuple[str, ...]) -> Launch:
    """A launch of this engine, with words that say what it prints of the guest's calls."""
    tracer = _tracer()
    return launch._replace(argv=(*tracer, *words, *launch.argv[len(tracer) :]))


def _tracer() -> tuple[str, ...]:
    return (sys.executable, "-I", "-c", START, ":".join(sys.path))
