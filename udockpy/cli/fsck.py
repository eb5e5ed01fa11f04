"""fsck."""

from __future__ import annotations

import os

import click

from udockpy.cli import output
from udockpy.operations.fsck import fsck as operation


@click.command()
@click.option("--repair", is_flag=True, help="keep what is sound, in a new database")
@click.option("--json", is_flag=True, help="print JSON")
@click.argument("target")
def fsck(*, repair: bool, json: bool, target: str) -> None:
    """Verify what is remembered of TARGET, a sandbox or a container: its owners, modes and devices.

    Damage is an error. With --repair it is not: every file has its last sound record then, and the
    database has room again. One that cannot be read at all is made anew from what the files say
    that `sandbox seal` wrote, and kept beside the new one.
    """
    report = operation(target, os.environ, repair=repair)
    if json:
        output.print_json(report.document())
    else:
        output.print_line(report.words())
