"""save."""

from __future__ import annotations

import os

import click

from udockpy.operations import archives


@click.command()
@click.option(
    "-o", "--output", default="-", metavar="FILE", help="write here (- is standard output)"
)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
def save(*, output: str, images: tuple[str, ...]) -> None:
    """Write images as an archive for load, docker load, podman load, or skopeo."""
    archives.save(images, output, os.environ)
