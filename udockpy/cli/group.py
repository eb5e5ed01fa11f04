"""The verbs, each imported on use."""

from __future__ import annotations

import importlib

import click

from udockpy import __version__
from udockpy.errors import UsageError

VERBS = {
    "bootstrap": "udockpy.cli.bootstrap:bootstrap",
    "build": "udockpy.cli.build:build",
    "cache": "udockpy.cli.gc:cache",
    "clone": "udockpy.cli.containers:clone",
    "commit": "udockpy.cli.commit:commit",
    "cp": "udockpy.cli.cp:cp",
    "create": "udockpy.cli.create:create",
    "diff": "udockpy.cli.diff:diff",
    "doctor": "udockpy.cli.doctor:doctor",
    "drop-in": "udockpy.cli.drop_in:drop_in",
    "exec": "udockpy.cli.run:exec_",
    "export": "udockpy.cli.export:export",
    "fakeroot": "udockpy.cli.fakeroot:fakeroot",
    "fsck": "udockpy.cli.fsck:fsck",
    "gc": "udockpy.cli.gc:gc",
    "history": "udockpy.cli.tag:history",
    "images": "udockpy.cli.images:images",
    "import": "udockpy.cli.import_:import_",
    "inspect": "udockpy.cli.inspect_:inspect_",
    "load": "udockpy.cli.load:load",
    "login": "udockpy.cli.login:login",
    "logout": "udockpy.cli.login:logout",
    "manifest": "udockpy.cli.manifest:manifest",
    "protect": "udockpy.cli.protect:protect",
    "ps": "udockpy.cli.ps:ps",
    "publish": "udockpy.cli.publish:publish",
    "pull": "udockpy.cli.pull:pull",
    "push": "udockpy.cli.push:push",
    "rename": "udockpy.cli.containers:rename",
    "rm": "udockpy.cli.rm:rm",
    "rmi": "udockpy.cli.rmi:rmi",
    "run": "udockpy.cli.run:run",
    "sandbox": "udockpy.cli.sandbox:sandbox",
    "save": "udockpy.cli.save:save",
    "shell": "udockpy.cli.run:shell",
    "stop": "udockpy.cli.containers:stop",
    "tag": "udockpy.cli.tag:tag",
    "sif": "udockpy.cli.sif:sif",
    "tags": "udockpy.cli.tags:tags",
    "trace": "udockpy.cli.trace:trace",
    "unprotect": "udockpy.cli.protect:unprotect",
    "verify": "udockpy.cli.verify:verify",
}


class LazyGroup(click.Group):
    """A group that imports a verb when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="udockpy", message="%(prog)s %(version)s")
def group() -> None:
    """Run containers, and change images, without root."""


def dispatch(words: list[str]) -> int:
    """Runs a command line; returns its exit status."""
    try:
        return group.main(words, prog_name="udockpy", standalone_mode=False) or 0
    except click.Abort:
        return 130
    except click.UsageError as e:
        path = e.ctx.command_path if e.ctx else "udockpy"
        raise UsageError(
            "bad command line", "", e.format_message(), hint=f"see {path} --help"
        ) from e
