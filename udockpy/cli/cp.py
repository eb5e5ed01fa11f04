"""cp."""

from __future__ import annotations

import os

import click

from udockpy.operations.copy import Copy
from udockpy.operations.copy import copy as operation


@click.command()
@click.option("-a", "--archive", is_flag=True, help="keep owners; without it all is root's")
@click.option("-L", "--follow-link", "follow", is_flag=True, help="copy what SOURCE links to")
@click.argument("source", metavar="[CONTAINER:]SOURCE|-")
@click.argument("target", metavar="[CONTAINER:]TARGET|-")
def cp(*, archive: bool, follow: bool, source: str, target: str) -> None:
    """Copy files into a container or out of it, whether it runs or not.

    - as SOURCE is a tar archive to unpack in the directory TARGET, as TARGET it is one to write,
    with the owners that the guest sees. SOURCE/. is what the directory SOURCE holds.
    """
    operation(Copy(source, target, archive, follow), os.environ)
