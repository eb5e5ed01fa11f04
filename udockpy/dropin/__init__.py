"""Drop-ins: the command lines of apptainer, singularity and udocker, for scripts and workflow
systems that call these.

A thin layer: their options become a Plan, which takes the way that all plans take.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main(program: str) -> NoReturn:
    """The program `program`, one of install.PROGRAMS."""
    words = sys.argv[1:]
    if program == "udocker":
        from udockpy.dropin.udocker import command as udocker

        sys.exit(udocker.main(words))
    from udockpy.dropin.apptainer import command as apptainer

    if program == "run-singularity":  # in the first line of image files
        program, words = "singularity", ["run", *words]
    sys.exit(apptainer.main(program, words))
