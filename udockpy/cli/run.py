"""run, exec and shell."""

from __future__ import annotations

import os
from typing import Any, Callable

import click

from udockpy.cli.options import FLAG, LIST, of
from udockpy.cli.start import start
from udockpy.container.options import RunOptions

# Options end at TARGET: what follows belongs to the guest's command.
SETTINGS = {"ignore_unknown_options": False, "allow_interspersed_args": False}

Function = Callable[..., Any]


def with_options(verb: str) -> Callable[[Function], Function]:
    """Decorates with the options of a verb, in the order of the table."""

    def decorate(function: Function) -> Function:
        for option in reversed(of(verb)):
            settings: dict[str, Any] = (
                {"is_flag": True} if option.kind == FLAG else {"metavar": option.metavar}
            )
            if option.kind == LIST:
                settings["multiple"] = True
            function = click.option(*option.flags, option.field, help=option.help, **settings)(
                function
            )
        return function

    return decorate


@click.command(context_settings=SETTINGS)
@with_options("run")
@click.argument("target")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def run(**values: Any) -> int:
    """Run COMMAND in TARGET: a sandbox directory, a container, or an image.

    An image gets a new container, which is kept unless --rm is given. With --read-only an image is
    run as it is. Without COMMAND it is a shell.
    """
    return start("run", RunOptions(**values), os.environ)


@click.command("exec", context_settings=SETTINGS)
@with_options("exec")
@click.argument("target")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(**values: Any) -> int:
    """Run COMMAND in TARGET, a sandbox directory or a container; in an image itself, read-only."""
    return start("exec", RunOptions(**values), os.environ)


@click.command(context_settings=SETTINGS)
@with_options("shell")
@click.argument("target")
def shell(**values: Any) -> int:
    """Start a shell in TARGET, as run does."""
    return start("shell", RunOptions(**values), os.environ)
