"""create."""

from __future__ import annotations

import os

import click

from udockpy.operations.create import create as operation


@click.command()
@click.option("--name", metavar="NAME", help="name the container")
@click.option("--platform", metavar="OS/ARCH", default="", help="another platform than this node's")
@click.argument("target")
def create(*, name: str | None, platform: str, target: str) -> None:
    """Make a container from TARGET (an image, a sandbox, a container) and print its id."""
    click.echo(operation(target, name, os.environ, platform=platform).id)
