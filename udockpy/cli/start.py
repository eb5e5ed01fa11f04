"""run, exec and shell: start a guest."""

from __future__ import annotations

from udockpy.operations import run as operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.container.options import RunOptions

OPERATIONS = {"run": operations.run, "exec": operations.exec_, "shell": operations.shell}


def start(verb: str, options: RunOptions, environ: Mapping[str, str]) -> int:
    """Starts a guest, or prints what would be started."""
    result = OPERATIONS[verb](options, environ)
    if isinstance(result, int):
        return result
    from udockpy.cli import output

    if options.json:
        output.print_json(result.document())
    else:
        output.print_line(result.words())
    return 0
