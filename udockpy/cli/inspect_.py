"""inspect."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_json
from udockpy.operations.inspect import inspect as operation


@click.command("inspect")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
def inspect_(*, targets: tuple[str, ...]) -> None:
    """Print what images, containers, sandboxes and image files say of themselves, as JSON.

    The key `singularity` has what images made by Singularity and Apptainer have beside their
    configuration: labels, runscript, definition, environment and applications.
    """
    print_json([operation(target, os.environ) for target in targets])
