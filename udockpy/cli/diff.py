"""diff."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_json, print_line
from udockpy.operations.commit import diff as operation


@click.command()
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.argument("container")
def diff(*, as_json: bool, container: str) -> None:
    """List what CONTAINER changed of its image: A added, C changed, D deleted."""
    found = [(change.how.value, f"/{change.name}") for change in operation(container, os.environ)]
    if as_json:
        print_json([{"kind": kind, "path": path} for kind, path in found])
        return
    for kind, path in found:
        print_line(f"{kind} {path}")
