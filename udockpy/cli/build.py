"""build."""

from __future__ import annotations

import os
from typing import Any, Callable

import click

from udockpy.build.definition.stage import CHOICES, Choices
from udockpy.cli.options import ENGINE_NAMES
from udockpy.operations import dockerfiles
from udockpy.operations.build import Build
from udockpy.operations.build import build as operation
from udockpy.operations.definitions import Definition

Function = Callable[..., Any]

OF_ALL = (
    click.option(
        "--build-arg",
        "arguments",
        metavar="NAME=VALUE",
        multiple=True,
        help="a value for {{ NAME }} of a definition, or for ARG NAME",
    ),
    click.option("--engine", metavar="ENGINE", help=ENGINE_NAMES),
)
OF_FILES = (
    click.option("-s", "--sandbox", is_flag=True, help="make a sandbox: a directory to change"),
    click.option("-F", "--force", is_flag=True, help="replace TARGET if it is there"),
)
OF_DEFINITIONS = (
    click.option(
        "--section",
        "sections",
        multiple=True,
        type=click.Choice(CHOICES),
        help="of a definition, build these sections only",
    ),
    click.option("-T", "--notest", is_flag=True, help="leave out %test"),
    click.option(
        "--build-arg-file",
        "argument_files",
        metavar="FILE",
        multiple=True,
        help="a file of such values, one a line",
    ),
    click.option("--warn-unused-build-args", is_flag=True, help="let values be for nothing"),
    click.option(
        "-B",
        "--bind",
        "binds",
        metavar="SRC[:DST[:ro|rw]],...",
        multiple=True,
        help="show the host's SRC to %post and %test",
    ),
)
OF_DOCKERFILES = (
    click.option(
        "-t", "--tag", "names", metavar="NAME", multiple=True, help="build a Dockerfile: its image"
    ),
    click.option("-f", "--file", metavar="FILE", default="", help="the Dockerfile of a CONTEXT"),
    click.option("--target", "stage", metavar="STAGE", default="", help="stop at that stage"),
    click.option(
        "--platform", metavar="OS/ARCHITECTURE", default="", help="choose images of that platform"
    ),
    click.option("--no-cache", is_flag=True, help="do every instruction again"),
    click.option("--squash", is_flag=True, help="make one layer"),
    click.option(
        "--secret",
        "secrets",
        metavar="id=ID,src=FILE",
        multiple=True,
        help="a file for RUN --mount=type=secret",
    ),
    click.option("-q", "--quiet", is_flag=True, help="do not say which instruction is done"),
)


def options(function: Function) -> Function:
    """Decorates with all of them, in that order."""
    for option in reversed((*OF_ALL, *OF_FILES, *OF_DEFINITIONS, *OF_DOCKERFILES)):
        function = option(function)
    return function


@click.command()
@options
@click.argument("target")
@click.argument("source", required=False)
def build(*, target: str, source: str | None, names: tuple[str, ...], **values: Any) -> None:
    """Make TARGET from SOURCE: a sandbox, a container, an image, a SIF or squashfs file, a
    definition file, a Dockerfile. Or, with -t NAME, make an image from the Dockerfile of a CONTEXT
    directory: udockpy build -t NAME CONTEXT.

    TARGET is a SIF file, a plain squashfs filesystem if its name ends in .sqsh, .sqfs or .squashfs,
    or with --sandbox a directory. Owners, modes and devices go with it.
    """
    if names:
        if source is not None:
            raise click.UsageError("with -t there is one argument, the CONTEXT")
        for image in dockerfiles.build(_of_dockerfile(target, names, values), os.environ):
            click.echo(image.name)
        return
    if source is None:
        raise click.UsageError("write TARGET SOURCE, or -t NAME CONTEXT")
    choices = Choices(values["sections"] or ("all",), not values["notest"], values["binds"])
    definition = Definition(
        choices,
        values["arguments"],
        values["argument_files"],
        values["warn_unused_build_args"],
        values["engine"],
    )
    made = Build(target, source, values["sandbox"], values["force"], definition)
    operation(made, os.environ)


def _of_dockerfile(
    context: str, names: tuple[str, ...], values: dict[str, Any]
) -> dockerfiles.Build:
    return dockerfiles.Build(
        context,
        names,
        values["file"],
        values["arguments"],
        values["stage"],
        values["platform"],
        values["secrets"],
        not values["no_cache"],
        values["squash"],
        values["quiet"],
        values["engine"],
    )
