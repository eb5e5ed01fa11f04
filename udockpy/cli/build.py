"""build."""

from __future__ import annotations

import os

import click

from udockpy.build.definition.stage import CHOICES, Choices
from udockpy.cli.options import ENGINE_NAMES
from udockpy.operations.build import Build
from udockpy.operations.build import build as operation
from udockpy.operations.definitions import Definition


@click.command()
@click.option("-s", "--sandbox", is_flag=True, help="make a sandbox: a directory to change")
@click.option("-F", "--force", is_flag=True, help="replace TARGET if it is there")
@click.option(
    "--section",
    "sections",
    multiple=True,
    type=click.Choice(CHOICES),
    help="of a definition, build these sections only",
)
@click.option("-T", "--notest", is_flag=True, help="leave out %test")
@click.option(
    "--build-arg", "arguments", metavar="NAME=VALUE", multiple=True, help="a value for {{ NAME }}"
)
@click.option(
    "--build-arg-file",
    "argument_files",
    metavar="FILE",
    multiple=True,
    help="a file of such values, one a line",
)
@click.option("--warn-unused-build-args", is_flag=True, help="let values be for nothing")
@click.option(
    "-B",
    "--bind",
    "binds",
    metavar="SRC[:DST[:ro|rw]],...",
    multiple=True,
    help="show the host's SRC to %post and %test",
)
@click.option("--engine", metavar="ENGINE", help=ENGINE_NAMES)
@click.argument("target")
@click.argument("source")
def build(
    *,
    sandbox: bool,
    force: bool,
    sections: tuple[str, ...],
    notest: bool,
    arguments: tuple[str, ...],
    argument_files: tuple[str, ...],
    warn_unused_build_args: bool,
    binds: tuple[str, ...],
    engine: str | None,
    target: str,
    source: str,
) -> None:
    """Make TARGET from SOURCE: a sandbox, a container, an image, a SIF or squashfs file, a
    definition file.

    TARGET is a SIF file, a plain squashfs filesystem if its name ends in .sqsh, .sqfs or .squashfs,
    or with --sandbox a directory. Owners, modes and devices go with it.
    """
    choices = Choices(sections or ("all",), not notest, binds)
    definition = Definition(choices, arguments, argument_files, warn_unused_build_args, engine)
    operation(Build(target, source, sandbox, force, definition), os.environ)
