"""drop-in install."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_line
from udockpy.dropin.install import PROGRAMS
from udockpy.dropin.install import install as operation

DEFAULT = "~/.local/bin"


@click.group("drop-in")
def drop_in() -> None:
    """Be apptainer, singularity or udocker for programs that call these."""


@drop_in.command()
@click.option(
    "-d", "--dir", "folder", default=DEFAULT, metavar="DIR", help=f"where to; else {DEFAULT}"
)
@click.argument("names", nargs=-1, required=True, type=click.Choice(sorted(PROGRAMS)))
def install(*, folder: str, names: tuple[str, ...]) -> None:
    """Write programs of these NAMES, which run udockpy, and print where they are.

    Put their directory into PATH, in front of where the real ones may be.
    """
    for path in operation(names, os.path.expanduser(folder)):
        print_line(path)
