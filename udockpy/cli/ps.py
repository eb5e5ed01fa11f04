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
    if containers:
        _print(("ID", "NAME", "IMAGE"), operations.listing(os.environ), as_json=as_json)
        return
    found = operations.processes(os.environ)
    rows = [(guest.pid, guest.engine, guest.target, shlex.join(guest.command)) for guest in found]
    _print(("PID", "ENGINE", "TARGET", "COMMAND"), rows, as_json=as_json)


def _print(header: tuple[str, ...], rows: Sequence[tuple[object, ...]], *, as_json: bool) -> None:
    if as_json:
        print_json([{name.lower(): value for name, value in zip(header, row)} for row in rows])
    else:
        print_table(header, [tuple(map(str, row)) for row in rows])
