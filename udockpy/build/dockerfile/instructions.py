"""What each instruction does to a stage."""

from __future__ import annotations

import json
from typing import Callable

from udockpy.build import rootfs
from udockpy.build.dockerfile import copy, files, run, settings, words
from udockpy.build.dockerfile.lines import bad
from udockpy.errors import ArchiveError, BindError, UserError, reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.build.dockerfile.grammar import Instruction
    from udockpy.build.dockerfile.stage import Stage
    from udockpy.store.tree import Tree


def perform(stage: Stage, instruction: Instruction) -> None:
    """Does one instruction. BuildError names its line."""
    name = stage.around.name
    try:
        HANDLERS[instruction.keyword](stage, instruction)
    except (ValueError, ArchiveError, BindError, UserError) as e:
        raise bad(name, instruction.line, f"{instruction.keyword}: {e}") from None
    except OSError as e:
        where = f"{e.filename}: " if isinstance(e.filename, str) else ""
        raise bad(name, instruction.line, f"{where}{reason_of(e)}") from e


def _arg(stage: Stage, instruction: Instruction) -> None:
    around = stage.around
    # What was given beats a default, and that beats what is said before the first FROM.
    given = dict(around.options.arguments)
    known = {**around.platform_arguments, **around.global_arguments}
    for word in words.split(instruction.text, around.escape):
        name, equals, default = word.partition("=")
        if not words.NAME.fullmatch(name):
            raise ValueError(f"{name} cannot be the name of an argument")
        around.used.add(name)
        if name in given:
            stage.arguments[name] = given[name]
        elif equals:
            stage.arguments[name] = stage.expand(default)
        elif name in known:
            stage.arguments[name] = known[name]
    stage.settle(instruction, json.dumps(["ARG", stage.arguments]), None)


def _cmd(stage: Stage, instruction: Instruction) -> None:
    stage.settings["Cmd"] = settings.command_words(stage.settings, instruction)
    stage.said_cmd = True


def _entrypoint(stage: Stage, instruction: Instruction) -> None:
    stage.settings["Entrypoint"] = settings.command_words(stage.settings, instruction)
    if not stage.said_cmd:
        stage.settings.pop("Cmd", None)  # it was meant for the entrypoint of the base


def _env(stage: Stage, instruction: Instruction) -> None:
    settings.set_env(stage.settings, _assignments(stage, instruction))


def _expose(stage: Stage, instruction: Instruction) -> None:
    settings.add_ports(stage.settings, stage.words(instruction))


def _health_check(stage: Stage, instruction: Instruction) -> None:
    settings.set_health_check(stage.settings, instruction)


def _label(stage: Stage, instruction: Instruction) -> None:
    settings.set_labels(stage.settings, _assignments(stage, instruction))


def _maintainer(stage: Stage, instruction: Instruction) -> None:
    stage.document = {**stage.document, "author": instruction.text}


def _on_build(stage: Stage, instruction: Instruction) -> None:
    stage.settings["OnBuild"] = [*(stage.settings.get("OnBuild") or []), instruction.text]


def _shell(stage: Stage, instruction: Instruction) -> None:
    settings.set_shell(stage.settings, instruction)


def _stop_signal(stage: Stage, instruction: Instruction) -> None:
    stage.settings["StopSignal"] = stage.expand(instruction.text)


def _user(stage: Stage, instruction: Instruction) -> None:
    stage.settings["User"] = stage.expand(instruction.text)


def _volume(stage: Stage, instruction: Instruction) -> None:
    settings.add_volumes(stage.settings, stage.words(instruction))


def _workdir(stage: Stage, instruction: Instruction) -> None:
    path = settings.workdir(stage.settings, stage.expand(instruction.text))
    stage.settings["WorkingDir"] = path

    user = stage.settings.get("User") or "0"

    def make(tree: Tree) -> None:
        made = rootfs.missing_folders(tree, path, stage.store.now)
        uid, gid = files.owner(user, tree) if made else (0, 0)
        rootfs.put(tree, [member._replace(uid=uid, gid=gid) for member in made])

    stage.changes(instruction, json.dumps(["WORKDIR", path, user]), make)


def _assignments(stage: Stage, instruction: Instruction) -> dict[str, str]:
    return settings.assignments(instruction.text, stage.expand, stage.around.escape)


Handler = Callable[["Stage", "Instruction"], None]


def _setting(change: Handler) -> Handler:
    """An instruction that changes settings alone."""

    def handle(stage: Stage, instruction: Instruction) -> None:
        change(stage, instruction)
        stage.configured(instruction)

    return handle


HANDLERS: dict[str, Handler] = {
    "ADD": copy.copy,
    "ARG": _arg,
    "CMD": _setting(_cmd),
    "COPY": copy.copy,
    "ENTRYPOINT": _setting(_entrypoint),
    "ENV": _setting(_env),
    "EXPOSE": _setting(_expose),
    "HEALTHCHECK": _setting(_health_check),
    "LABEL": _setting(_label),
    "MAINTAINER": _setting(_maintainer),
    "ONBUILD": _setting(_on_build),
    "RUN": run.run,
    "SHELL": _setting(_shell),
    "STOPSIGNAL": _setting(_stop_signal),
    "USER": _setting(_user),
    "VOLUME": _setting(_volume),
    "WORKDIR": _workdir,
}
