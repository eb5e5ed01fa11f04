"""build."""

from __future__ import annotations

import os

import click

from udockpy.operations.build import Build
from udockpy.operations.build import build as operation


@click.command()
@click.option("-s", "--sandbox", is_flag=True, help="make a sandbox: a directory to change")
@click.option("-F", "--force", is_flag=True, help="replace TARGET if it is there")
@click.argument("target")
@click.argument("source")
def build(*, sandbox: bool, force: bool, target: str, source: str) -> None:
    """Make TARGET from SOURCE: a sandbox, a container, an image, a SIF or squashfs file.

    TARGET is a SIF file, a plain squashfs filesystem if its name ends in .sqsh, .sqfs or .squashfs,
    or with --sandbox a directory. Owners, modes and devices go with it.
    """
    operation(Build(target, source, sandbox, force), os.environ)
