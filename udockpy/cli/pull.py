"""pull."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_line
from udockpy.cli.registry_options import with_registry_options
from udockpy.operations.pull import PullOptions
from udockpy.operations.pull import pull as operation


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="say nothing of the progress")
@click.option("--platform", metavar="OS/ARCH", default="", help="another platform than this node's")
@with_registry_options
@click.argument("reference")
@click.argument("name", default="")
def pull(
    *, quiet: bool, platform: str, insecure: bool, cert_dir: str, reference: str, name: str
) -> None:
    """Bring an image into the store, unpack it, and print its name.

    REFERENCE is [docker://][HOST/]NAME[:TAG][@DIGEST] for an image of a registry, or
    oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG] or dir:DIR for one in
    files; NAME is what the latter is called here.
    """
    options = PullOptions(quiet, platform, name, insecure, cert_dir)
    print_line(operation(reference, options, os.environ).name)
