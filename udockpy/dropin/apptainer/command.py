"""The programs apptainer, singularity and run-singularity: from words to an exit status."""

from __future__ import annotations

import os
from importlib import import_module

from udockpy.dropin.apptainer import messages
from udockpy.dropin.flags import SWITCH, VALUE, Flag, parse
from udockpy.errors import BindError, Error, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from udockpy.dropin.flags import Given

    Command = Callable[[list[str], Mapping[str, str]], int]

VERSION = "1.4.5"  # of the Apptainer whose behaviour this is: callers ask, and expect a number
EXIT_FATAL = 255
EXIT_USAGE = 1

GLOBAL = (
    Flag(("--debug", "-d")),
    Flag(("--silent", "-s")),
    Flag(("--quiet", "-q")),
    Flag(("--verbose", "-v")),
    Flag(("--nocolor",)),
    Flag(("--version",)),
    Flag(("--help", "-h")),
    Flag(("--config", "-c"), VALUE),
    Flag(("--build-config",), SWITCH),
)
ACTIONS = ("exec", "run", "shell", "test")
COMMANDS = {
    "build": "manage:build",
    "cache": "manage:cache",
    "inspect": "inspect:inspect",
    "instance": "instances:instance",
    "instance.list": "instances:list_",
    "instance.start": "instances:start",
    "instance.stop": "instances:stop",
    "overlay": "manage:overlay",
    "pull": "manage:pull",
    "push": "manage:push",
    "registry": "manage:registry",
    "run-help": "inspect:run_help",
    "sif": "manage:sif",
    "siftool": "manage:sif",
    "apps": "inspect:apps",
}
# Apptainer's and SingularityCE's, that we have not
MISSING = (
    "capability",
    "checkpoint",
    "completion",
    "config",
    "data",
    "delete",
    "key",
    "keyserver",
    "oci",
    "plugin",
    "remote",
    "search",
    "sign",
    "tag",
    "verify",
)


class _UnknownCommand(UsageError):
    """The first word is no command."""


def main(program: str, words: Sequence[str]) -> int:
    """Runs a command line; returns its exit status."""
    command = ""
    try:
        given = parse(words, GLOBAL, mixed=False)
        messages.LEVEL.set(_level(given))
        if given.on("--version"):
            print(f"apptainer version {VERSION}")
            return 0
        if not given.words:
            print(usage(program))
            return 0 if given.on("--help") else EXIT_USAGE
        command, *rest = given.words
        return _dispatch(program, command, rest, os.environ)
    except _UnknownCommand as e:
        return _refuse_usage(program, "", e)
    except UsageError as e:
        return _refuse_usage(program, command, e)
    except messages.NoApp as e:
        print(e)
        return e.exit_code
    except (Error, OSError) as e:
        messages.fatal(_reason(e))
        return EXIT_FATAL
    except KeyboardInterrupt:
        return 130


def _dispatch(program: str, command: str, words: list[str], environ: Mapping[str, str]) -> int:
    if command == "version":
        print(VERSION)
        return 0
    if command == "help" or words[:1] in (["--help"], ["-h"]):
        print(usage(program))
        return 0
    if command in ACTIONS:
        from udockpy.dropin.apptainer import action, options

        wanted = options.action(command, words, environ)
        if wanted.image.startswith(options.INSTANCE):
            from udockpy.dropin.apptainer import instances

            return instances.join(wanted, environ)
        return action.start(wanted, environ)
    if command in COMMANDS:
        module, _, name = COMMANDS[command].partition(":")
        found: Command = getattr(import_module(f"udockpy.dropin.apptainer.{module}"), name)
        return found(words, environ)
    if command in MISSING:
        raise Error(f"the command {command} is not supported by udockpy")
    raise _UnknownCommand(f'unknown command "{command}" for "{program}"')


def usage(program: str) -> str:
    names = sorted(
        {*ACTIONS, *COMMANDS, "version"} - {"instance.list", "instance.start", "instance.stop"}
    )
    lines = "\n".join(f"  {name}" for name in names)
    return (
        f"Usage:\n  {program} [global options...] <command>\n\nAvailable Commands:\n{lines}\n\n"
        "This is udockpy, which runs images without privileges in the way of Apptainer"
        f" {VERSION}."
    )


def _level(given: Given) -> int:
    if given.on("--silent"):
        return messages.ERROR
    if given.on("--quiet"):
        return messages.WARNING
    return messages.VERBOSE if given.on("--verbose") or given.on("--debug") else messages.INFO


def _refuse_usage(program: str, command: str, error: UsageError) -> int:
    import sys

    what = f'Error for command "{command}": {error}' if command else f"Error: {error}"
    print(f"{what}\n\n{usage(program) if not command else ''}", file=sys.stderr)
    if command:
        print(f"Run '{program} --help' for more detailed usage information.", file=sys.stderr)
    return EXIT_USAGE


def _reason(error: Error | OSError) -> str:
    if isinstance(error, BindError):
        return f"container creation failed: {error}"
    if isinstance(error, Error):
        return f"{error} ({error.hint})" if error.hint else str(error)
    where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    return f"{where}{error.strerror or error}"
