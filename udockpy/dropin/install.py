"""Writes the executables under whose names others are called. Nothing is on PATH unasked."""

from __future__ import annotations

import os
import shlex
import sys

from udockpy.errors import BusyError
from udockpy.util import atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# What a user asks for, and the files that this takes
PROGRAMS = {
    "apptainer": ("apptainer", "run-singularity"),
    "singularity": ("singularity", "run-singularity"),
    "udocker": ("udocker",),
}
SIGN = "# A drop-in of udockpy"

# For the shell this is `exec PYTHON -E FILE ARGUMENTS`; for Python it is a text and a program. The
# path of an interpreter may be too long for a #! line. -E: what a caller's environment says of
# Python is for his own programs.
PROGRAM = """#!/bin/sh
'''exec' {python} -E "$0" "$@"
' '''
{sign}: udockpy drop-in install
import sys

sys.path[0] = {package!r}
from udockpy.dropin import main

main({name!r})
"""


def install(names: Iterable[str], folder: str) -> list[str]:
    """Writes the programs of `names` into a folder; returns what was written. What is there and not
    ours stays.
    """
    files = list(dict.fromkeys(file for name in names for file in PROGRAMS[name]))
    paths = [os.path.join(os.path.abspath(folder), file) for file in files]
    for path in paths:
        _refuse_foreign(path)
    os.makedirs(os.path.abspath(folder), exist_ok=True)
    for path in paths:
        atomic.write(path, _text(os.path.basename(path)).encode(), mode=0o755)
    return paths


def _text(name: str) -> str:
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return PROGRAM.format(python=shlex.quote(sys.executable), package=package, name=name, sign=SIGN)


def _refuse_foreign(path: str) -> None:
    if not os.path.lexists(path):
        return
    with open(path, encoding="utf-8", errors="replace") as file:
        if SIGN not in file.read(4096):
            hint = "remove it, or give another directory: --dir DIR"
            raise BusyError("cannot install", path, "another program is there", hint=hint)
