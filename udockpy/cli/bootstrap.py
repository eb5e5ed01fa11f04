"""bootstrap."""

from __future__ import annotations

import os

import click

from udockpy.cli.options import ENGINE_NAMES
from udockpy.operations.bootstrap import Bootstrap
from udockpy.operations.bootstrap import bootstrap as operation


@click.command()
@click.option("--mirror", metavar="URL", help="the package mirror (default: the host's apt's)")
@click.option("--include", metavar="PACKAGE,...", default="", help="more packages")
@click.option(
    "--variant", metavar="NAME", default="minbase", show_default=True, help="debootstrap's variant"
)
@click.option("--engine", metavar="ENGINE", help=ENGINE_NAMES)
@click.option("--verbose", is_flag=True, help="say which engine is used, and why")
@click.argument("suite")
@click.argument("sandbox")
def bootstrap(
    *,
    mirror: str | None,
    include: str,
    variant: str,
    engine: str | None,
    verbose: bool,
    suite: str,
    sandbox: str,
) -> None:
    """Make the Debian SUITE in the new directory SANDBOX, with the host's debootstrap run as
    pretended root.
    """
    packages = tuple(filter(None, include.split(",")))
    operation(Bootstrap(suite, sandbox, mirror, packages, variant, engine, verbose), os.environ)
