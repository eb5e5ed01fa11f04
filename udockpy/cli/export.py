"""export."""

from __future__ import annotations

import os

import click

from udockpy.operations.export import export as operation


@click.command()
@click.option(
    "-o", "--output", default="-", metavar="FILE", help="write here (- is standard output)"
)
@click.argument("target")
def export(output: str, target: str) -> None:
    """Write TARGET as a tar archive, with the owners, modes and devices its guest sees."""
    operation(target, output, os.environ)
