"""push."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_line
from udockpy.cli.registry_options import with_registry_options
from udockpy.operations.pull import PullOptions
from udockpy.operations.push import push as operation


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="say nothing of the progress")
@with_registry_options
@click.argument("image")
@click.argument("reference", default="")
def push(*, quiet: bool, insecure: bool, cert_dir: str, image: str, reference: str) -> None:
    """Upload IMAGE as REFERENCE (default: its own name), and print the name it has there.

    What the registry has already is not uploaded again.
    """
    options = PullOptions(quiet=quiet, insecure=insecure, cert_dir=cert_dir)
    print_line(operation(image, reference, options, os.environ))
