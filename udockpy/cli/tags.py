"""tags."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_line
from udockpy.cli.registry_options import with_registry_options
from udockpy.operations.tags import tags as operation


@click.command()
@with_registry_options
@click.argument("repository", metavar="[HOST/]NAME")
def tags(*, insecure: bool, cert_dir: str, repository: str) -> None:
    """List the tags that a repository of a registry has."""
    for tag in operation(repository, os.environ, insecure=insecure, cert_dir=cert_dir):
        print_line(tag)
