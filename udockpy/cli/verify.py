"""verify."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_json, print_line
from udockpy.cli.registry_options import with_registry_options
from udockpy.errors import EXIT_UDOCKPY
from udockpy.operations.pull import PullOptions
from udockpy.operations.verify import Verdict, Verify
from udockpy.operations.verify import verify as operation


@click.command()
@click.option("--no-mend", is_flag=True, help="change nothing")
@click.option("--trees", is_flag=True, help="also unpack all images again, and compare")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@with_registry_options
def verify(*, no_mend: bool, trees: bool, as_json: bool, insecure: bool, cert_dir: str) -> int:
    """Read all images of the store, and say which are damaged.

    What is damaged is brought again from the registry that it came from.
    """
    registry = PullOptions(quiet=True, insecure=insecure, cert_dir=cert_dir)
    verdicts = operation(Verify(not no_mend, trees, registry), os.environ)
    if as_json:
        print_json([verdict._asdict() for verdict in verdicts])
    else:
        for verdict in verdicts:
            print_line(_line(verdict))
    return 0 if all(verdict.mended or not verdict.problem for verdict in verdicts) else EXIT_UDOCKPY


def _line(verdict: Verdict) -> str:
    if not verdict.problem:
        return f"{verdict.name}: good"
    return f"{verdict.name}: {'mended: ' if verdict.mended else ''}{verdict.problem}"
