"""tag and history."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_json, print_line, print_table
from udockpy.operations import tag as operations
from udockpy.util.text import size


@click.command()
@click.argument("image")
@click.argument("name")
def tag(*, image: str, name: str) -> None:
    """Give IMAGE the further name NAME[:TAG], and print that in full."""
    print_line(operations.tag(image, name, os.environ).name)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.argument("image")
def history(*, as_json: bool, image: str) -> None:
    """List the steps that made IMAGE, the last one first, with the sizes of their layers."""
    rows = operations.history(image, os.environ)
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    table = [
        (row.created, size(row.size), " ".join(f"{row.created_by} {row.comment}".split()))
        for row in rows
    ]
    print_table(("CREATED", "SIZE", "BY"), table)
