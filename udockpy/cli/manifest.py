"""manifest inspect."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_json
from udockpy.cli.registry_options import with_registry_options
from udockpy.operations import manifest as operations
from udockpy.operations.pull import PullOptions


@click.group()
def manifest() -> None:
    """Manifests of images."""


@manifest.command("inspect")
@with_registry_options
@click.argument("reference")
def inspect_(*, insecure: bool, cert_dir: str, reference: str) -> None:
    """Print the manifest that REFERENCE has in its registry, or in its file, or the index of
    several; nothing is pulled.
    """
    options = PullOptions(quiet=True, insecure=insecure, cert_dir=cert_dir)
    print_json(operations.inspect(reference, options, os.environ))
