"""publish."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_line
from udockpy.operations.publish import publish as operation


@click.command()
def publish() -> None:
    """Let everybody read the images of this store, so that it can be a site's: others take images
    from it when their UDOCKPY_SITE_STORE names it. Prints where it is.
    """
    print_line(operation(os.environ))
