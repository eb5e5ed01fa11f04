"""sandbox seal and sandbox rescan."""

from __future__ import annotations

import os

import click

from udockpy.cli import output
from udockpy.operations import sandbox as operations


@click.group()
def sandbox() -> None:
    """Copy or move a sandbox with the owners, modes and devices of its files.

    `sandbox seal DIRECTORY` writes them to the files' extended attributes, before a copy that keeps
    these. `sandbox rescan DIRECTORY` finds them again, in the copy.
    """


@sandbox.command()
@click.argument("directory")
def seal(directory: str) -> None:
    """Write what is remembered of the files in DIRECTORY to the files themselves."""
    count = operations.seal(os.path.abspath(directory), os.environ)
    output.print_line(f"{count.sealed} files sealed, {count.listed} by path only")


@sandbox.command()
@click.option(
    "--from", "original", metavar="PATH", help="where it was copied or moved from: helps by paths"
)
@click.argument("directory")
def rescan(directory: str, original: str | None) -> None:
    """Remember the files in DIRECTORY, a copy, as what they were."""
    origin = os.path.abspath(original) if original is not None else None
    count = operations.rescan(os.path.abspath(directory), origin, os.environ)
    made = f", {count.made} devices made" if count.made else ""
    output.print_line(
        f"{count.known} files known, {count.sealed} by their seals, {count.listed} by their paths"
        f"{made}"
    )
