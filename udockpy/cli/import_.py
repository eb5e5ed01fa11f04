"""import."""

from __future__ import annotations

import os

import click

from udockpy.operations.import_ import import_ as operation


@click.command("import")
@click.argument("source", metavar="TAR|DIR|-")
@click.argument("name")
def import_(source: str, name: str) -> None:
    """Make the image NAME from a tar archive (- is standard input; may be compressed) or a
    directory.
    """
    click.echo(operation(source, name, os.environ).name)
