"""load."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_line
from udockpy.operations import archives
from udockpy.operations.pull import PullOptions


@click.command()
@click.option("-i", "--input", "source", default="-", metavar="FILE", help="read this archive")
@click.option("-q", "--quiet", is_flag=True, help="say nothing of the progress")
def load(*, source: str, quiet: bool) -> None:
    """Bring the images of an archive, as save, docker save or podman save write them, into the
    store.
    """
    for name in archives.load(source, PullOptions(quiet=quiet), os.environ):
        print_line(name)
