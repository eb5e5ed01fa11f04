"""trace: run a guest and print its system calls."""

from __future__ import annotations

import os
from typing import Any

import click

from udockpy.cli.run import SETTINGS, with_options
from udockpy.container.options import RunOptions
from udockpy.operations import trace as operations


@click.command(context_settings=SETTINGS)
@click.option(
    "-e",
    "--calls",
    metavar="NAMES",
    default="",
    help="print these calls only, separated by commas; %file is all that have a path",
)
@click.option(
    "-o", "--output", metavar="FILE", default="-", help="print there, not to standard error"
)
@with_options("trace")
@click.argument("target")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def trace(calls: str, output: str, **values: Any) -> int:
    """Run COMMAND in TARGET and print each system call, with the paths of guest and host, and its
    result.

    For finding out why something fails in a container. It runs under the engine ptrace-py, as the
    user: without a pretended root.
    """
    watch = ("--trace", output, "--calls", calls)
    return operations.trace(RunOptions(**values), watch, os.environ)
