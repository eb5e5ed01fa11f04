"""trace: run a guest under the engine that prints its system calls."""

from __future__ import annotations

from udockpy import home as homes
from udockpy.engines import ptrace_py
from udockpy.operations import wanted
from udockpy.operations.prepare import prepare
from udockpy.operations.run import begin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.container.options import RunOptions


def trace(options: RunOptions, watch: tuple[str, ...], environ: Mapping[str, str]) -> int:
    """Becomes the guest of exec. `watch` are the engine's words about what it prints, and where."""
    home = homes.find(environ)
    told = options._replace(entrypoint="", engine=ptrace_py.NAME)
    prepared = prepare(home, wanted.target(home, options.target, environ), told, environ)
    launch = ptrace_py.watching(prepared.launch, watch)
    return begin(home, prepared._replace(launch=launch), wait=False)
