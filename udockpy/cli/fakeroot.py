"""fakeroot: its options are those of fakeroot(1), in its spelling."""

from __future__ import annotations

import os

import click

from udockpy import __version__
from udockpy.cli.options import ENGINE_NAMES
from udockpy.operations.fakeroot import Fakeroot
from udockpy.operations.fakeroot import fakeroot as operation

LIKE = "1.31"  # the fakeroot(1) whose answers these are
# Options end at COMMAND, whose own are not for us.
SETTINGS = {"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]}
IGNORED = "accepted for compatibility: there is no {}"


@click.command(context_settings=SETTINGS)
@click.option("-i", "load", metavar="FILE", help="load what a run with -s saved")
@click.option("-s", "save", metavar="FILE", help="save what is remembered, in fakeroot's format")
@click.option(
    "-u",
    "--unknown-is-real",
    is_flag=True,
    help="show the real owner of files that nobody changed (default: root)",
)
@click.option("-l", "--lib", metavar="FILE", help=IGNORED.format("preloaded library"))
@click.option("-f", "--faked", metavar="FILE", help=IGNORED.format("daemon"))
@click.option("-b", "--fd-base", metavar="FD", help=IGNORED.format("descriptor of the guest's"))
@click.option("--engine", metavar="ENGINE", help=ENGINE_NAMES)
@click.option("--verbose", is_flag=True, help="say which engine is used, and why")
@click.version_option(
    LIKE,
    "-v",
    "--version",
    prog_name="fakeroot",
    message=f"%(prog)s version %(version)s (udockpy {__version__})",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def fakeroot(
    *,
    load: str | None,
    save: str | None,
    unknown_is_real: bool,
    engine: str | None,
    verbose: bool,
    command: tuple[str, ...],
    **_: object,
) -> int:
    """Run COMMAND (default: a shell) on your own files as a pretended root.

    Nothing is hidden and nothing is bound: it sees the files that you see, and changes those that
    you may change. Owners, modes and devices are pretended, and forgotten at its end unless -s says
    otherwise.
    """
    return operation(Fakeroot(command, load, save, unknown_is_real, engine, verbose), os.environ)
