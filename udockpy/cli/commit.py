"""commit."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_line
from udockpy.operations.commit import Commit
from udockpy.operations.commit import commit as operation


@click.command()
@click.option(
    "-c",
    "--change",
    "changes",
    multiple=True,
    metavar="INSTRUCTION",
    help="change what the image says of itself, as ENV, CMD, LABEL... of a Dockerfile do",
)
@click.option(
    "-m", "--message", metavar="TEXT", default="", help="say in the history what was done"
)
@click.option("-a", "--author", metavar="TEXT", default="", help="say in the history by whom")
@click.argument("container")
@click.argument("name")
def commit(
    *, changes: tuple[str, ...], message: str, author: str, container: str, name: str
) -> None:
    """Make the image NAME[:TAG] of CONTAINER, with a layer of what was changed in it, and print its
    name.

    With SOURCE_DATE_EPOCH in the environment the same changes give the same image.
    """
    options = Commit(container, name, changes, message, author)
    print_line(operation(options, os.environ).name)
