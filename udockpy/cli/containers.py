"""clone, rename and stop."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_line
from udockpy.operations import containers as operations


@click.command()
@click.option("--name", metavar="NAME", help="name the new container")
@click.argument("container")
def clone(*, name: str | None, container: str) -> None:
    """Make another container like CONTAINER, with all that was changed in it, and print its id."""
    print_line(operations.clone(container, name, os.environ).id)


@click.command()
@click.argument("container")
@click.argument("name")
def rename(*, container: str, name: str) -> None:
    """Call CONTAINER by the new name NAME."""
    operations.rename(container, name, os.environ)


@click.command()
@click.option(
    "-t",
    "--time",
    "seconds",
    type=click.FloatRange(min=0),
    default=operations.SECONDS,
    show_default=True,
    help="kill what has not ended by then, in seconds",
)
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...")
def stop(*, seconds: float, containers: tuple[str, ...]) -> None:
    """End what runs in containers: by the signal that the image names, else SIGTERM."""
    for container in containers:
        operations.stop(container, os.environ, seconds=seconds)
