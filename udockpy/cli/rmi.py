"""rmi."""

from __future__ import annotations

import os

import click

from udockpy.operations import images as operations


@click.command()
@click.option("-f", "--force", is_flag=True, help="also when something runs in it")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
def rmi(*, force: bool, images: tuple[str, ...]) -> None:
    """Remove images. Containers made from them stay."""
    for image in images:
        operations.remove(image, os.environ, force=force)
