"""ps."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

import click

from udockpy.cli.output import print_json, print_table
from udockpy.operations import containers as operations


@click.command()
@click.option(
    "-a", "--all", "containers", is_flag=True, help="list containers, running or not, instead"
)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def ps(*, containers: bool, as_json: bool) -> None:
    """List the guests that run on this node."""
    found: Sequence[operations.Row] | Sequence[operations.Process]
    rows: list[tuple[str, ...]]
    if containers:
        found = operations.listing(os.environ)
        header: tuple[str, ...] = ("ID", "NAME", "IMAGE", "STATE")
        rows = [(row.id, row.name, row.image, _state(row)) for row in found]
    else:
        found = operations.processes(os.environ)
        header = ("PID", "ENGINE", "TARGET", "NAME", "COMMAND")
        rows = [
            (str(row.pid), row.engine, row.target, row.name, shlex.join(row.command))
            for row in found
        ]
    if as_json:
        print_json([row._asdict() for row in found])
    else:
        print_table(header, rows)


def _state(row: operations.Row) -> str:
    runs = f"runs: {', '.join(map(str, row.pids))}" if row.pids else ""
    return ", ".join(filter(None, (runs, "protected" if row.protected else "")))
