"""The program udocker: from words to an exit status."""

from __future__ import annotations

import os
from importlib import import_module

from udockpy.dropin.flags import VALUE, Flag, parse, several
from udockpy.dropin.udocker import messages
from udockpy.errors import EngineError, Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from udockpy.dropin.flags import Given

    Command = Callable[[list[str], Mapping[str, str]], int]

VERSION = "1.3.17"  # of the udocker whose behaviour this is
GLOBAL = (
    Flag(("--quiet", "-q")),
    Flag(("--debug", "-D")),
    Flag(("--repo",), VALUE),
    Flag(("--config",), VALUE),
    Flag(("--version", "-V")),
    Flag(("--help", "-h")),
    *several("--insecure --allow-root"),
)
COMMANDS = {
    "clone": "manage:clone",
    "create": "manage:create",
    "export": "manage:export",
    "images": "manage:listed_images",
    "import": "manage:import_",
    "inspect": "manage:inspect",
    "install": "manage:install",
    "load": "manage:load",
    "login": "manage:login",
    "logout": "manage:logout",
    "manifest": "manage:manifest",
    "protect": "manage:protect",
    "ps": "manage:ps",
    "pull": "manage:pull",
    "rename": "manage:rename",
    "rm": "manage:rm",
    "rmi": "manage:rmi",
    "run": "run:run",
    "save": "manage:save",
    "setup": "manage:setup",
    "showconf": "manage:showconf",
    "tag": "manage:tag",
    "unprotect": "manage:unprotect",
    "verify": "manage:verify",
}
MISSING = (
    "mkrepo",
    "name",
    "rmname",
    "search",
)


def main(words: Sequence[str]) -> int:
    """Runs a command line; returns its exit status."""
    try:
        given = parse(words, GLOBAL, mixed=False)
        messages.QUIET.set(given.on("--quiet"))
        return _dispatch(given, list(given.words), _environ(given))
    except EngineError as e:
        messages.error(f"{e} ({e.hint})" if e.hint else str(e))
        return e.exit_code
    except (Error, OSError) as e:
        hint = getattr(e, "hint", "")
        messages.error(f"{e} ({hint})" if hint else str(e))
        return 1
    except KeyboardInterrupt:
        return 130


def _dispatch(given: Given, words: list[str], environ: Mapping[str, str]) -> int:
    if given.on("--version") or words[:1] == ["version"]:
        print(f"version: {VERSION}\ntarball: none, for the engines are udockpy's")
        return 0
    if given.on("--help") or not words or words[0] == "help" or words[1:2] == ["--help"]:
        print(usage())
        return 0
    command, *rest = words
    if command in MISSING:
        raise Error(f"the command {command} is not supported by udockpy")
    if command not in COMMANDS:
        raise Error(f"invalid command: {command}")
    module, _, name = COMMANDS[command].partition(":")
    found: Command = getattr(import_module(f"udockpy.dropin.udocker.{module}"), name)
    return found(rest, environ)


def usage() -> str:
    names = "\n".join(f"  {name}" for name in sorted({*COMMANDS, "version"}))
    return (
        f"Syntax:\n  udocker [general_options] <command> [options] <args>\n\nCommands:\n{names}\n\n"
        f"This is udockpy, which runs containers in the way of udocker {VERSION}."
    )


def _environ(given: Given) -> dict[str, str]:
    """The environment, with what the options before the command say. Where udocker's directory is
    named ours is in it.
    """
    made = dict(os.environ)
    folder = given.value("--repo") or made.get("UDOCKER_DIR", "")
    if folder:
        made["UDOCKPY_HOME"] = os.path.join(os.path.expanduser(folder), "udockpy")
    if given.on("--insecure"):
        from udockpy.dropin.udocker.manage import INSECURE

        made[INSECURE] = "yes"
    return made
