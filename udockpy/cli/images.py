"""images."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_json, print_table
from udockpy.operations import images as operations


@click.command()
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def images(*, as_json: bool) -> None:
    """List the images."""
    found = operations.listing(os.environ)
    if as_json:
        print_json([{"name": image.name, "rootfs": image.tree.rootfs} for image in found])
    else:
        print_table(("IMAGE",), [(image.name,) for image in found])
