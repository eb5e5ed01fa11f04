"""protect and unprotect."""

from __future__ import annotations

import os

import click

from udockpy.operations.protect import protect as operation

NAMES = click.argument("names", nargs=-1, required=True, metavar="CONTAINER|IMAGE...")


@click.command()
@NAMES
def protect(*, names: tuple[str, ...]) -> None:
    """Keep containers and images from being removed or replaced."""
    for name in names:
        operation(name, os.environ, on=True)


@click.command()
@NAMES
def unprotect(*, names: tuple[str, ...]) -> None:
    """Let them be removed again."""
    for name in names:
        operation(name, os.environ, on=False)
