"""inspect."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_json
from udockpy.operations import images as operations


@click.command("inspect")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
def inspect_(*, images: tuple[str, ...]) -> None:
    """Print what images say of themselves, as JSON."""
    print_json([operations.inspect(image, os.environ) for image in images])
