"""rm."""

from __future__ import annotations

import os

import click

from udockpy.operations import containers as operations


@click.command()
@click.option("-f", "--force", is_flag=True, help="also when something runs in it")
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
def rm(*, force: bool, containers: tuple[str, ...]) -> None:
    """Remove containers."""
    for container in containers:
        operations.remove(container, os.environ, force=force)
