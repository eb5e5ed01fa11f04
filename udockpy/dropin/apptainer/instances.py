"""instance start, list and stop: guests that stay, and others that join them.

A process of ours stays as long as the instance, with the startscript as its child. Who joins runs
in the same root filesystem with the same binds; namespaces of its own an instance does not share.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import signal
import sys
import time
from typing import Any, NamedTuple

from udockpy import home as homes
from udockpy.dropin.apptainer import action as actions
from udockpy.dropin.apptainer import images, messages, options
from udockpy.dropin.apptainer.options import Action
from udockpy.dropin.flags import VALUE, Flag, parse, several
from udockpy.errors import Error, UsageError
from udockpy.store import names, running
from udockpy.util import atomic, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.dropin.apptainer.action import Run
    from udockpy.home import Home

STOP_SECONDS = 10
POLL_SECONDS = 0.05
LIST_FLAGS = (
    Flag(("--json", "-j")),
    Flag(("--logs", "-l")),
    *several("--all -a"),
    *several("--user -u", VALUE),
)
STOP_FLAGS = (
    Flag(("--all", "-a")),
    Flag(("--force", "-F")),
    Flag(("--signal", "-s"), VALUE),
    Flag(("--timeout", "-t"), VALUE),
    *several("--user -u", VALUE),
)


class Instance(NamedTuple):
    """A guest that stays."""

    name: str
    pid: int  # of our process, which leads its process group
    start: str  # when that process began
    action: Action
    folder: str

    @property
    def image(self) -> str:
        return self.action.image

    def log(self, kind: str) -> str:
        return os.path.join(self.folder, f"{self.name}.{kind}")

    def alive(self) -> bool:
        return running.start_time(self.pid) == self.start


def instance(words: list[str], environ: Mapping[str, str]) -> int:
    """instance start, run, list and stop."""
    verb, *rest = words or [""]
    commands = {"start": start, "run": run, "list": list_, "stop": stop}
    if verb not in commands:
        raise UsageError("instance has the commands start, run, list and stop")
    return commands[verb](rest, environ)


def start(words: list[str], environ: Mapping[str, str], verb: str = "start") -> int:
    """instance start IMAGE NAME [ARGUMENT...]."""
    wanted = options.action(verb, words, environ)
    if not wanted.command:
        raise UsageError("requires at least 2 arg(s), only received 1")
    name, *arguments = wanted.command
    home = homes.find(environ)
    folder = _folder(home, names.check(name))
    if name in (known.name for known in _listing(home)):
        raise Error(f"instance {name} already exists")
    tree.remove(folder)
    homes.make(folder)
    target = images.target(home, wanted.image, environ, insecure=wanted.no_https)
    image = wanted.image if images.is_reference(wanted.image) else os.path.abspath(wanted.image)
    wanted = wanted._replace(
        image=image,
        command=tuple(arguments),
        instance=name,
        # What is shown instead of the host's directories is shown to who joins, too.
        workdir=wanted.workdir or (os.path.join(folder, "work") if wanted.contain else ""),
    )
    run = actions.Run(home, target, actions.person(environ), wanted)
    if not _detach(run, folder):
        raise Error(f"failed to start instance {name}: see {folder}/{name}.err")
    messages.info("instance started successfully")
    return 0


def run(words: list[str], environ: Mapping[str, str]) -> int:
    """instance run: as start, with the runscript."""
    return start(words, environ, verb="run")


def list_(words: list[str], environ: Mapping[str, str]) -> int:
    """instance list [NAME]."""
    given = parse(words, LIST_FLAGS, mixed=True)
    found = _named(homes.find(environ), (*given.words, "*")[0])
    if given.on("--json"):
        rows = [_document(entry) for entry in found]
        print(json.dumps({"instances": rows}, indent="\t"))
        return 0
    logs = given.on("--logs")
    header = ("INSTANCE NAME", "PID", *(("LOGS",) if logs else ("IP", "IMAGE")))
    rows_of_text = [
        (entry.name, str(entry.pid), *((entry.log("err"),) if logs else ("", entry.image)))
        for entry in found
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows_of_text)]
    for row in (header, *rows_of_text):
        print("    ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    return 0


def stop(words: list[str], environ: Mapping[str, str]) -> int:
    """instance stop NAME, or all of them."""
    given = parse(words, STOP_FLAGS, mixed=True)
    if not given.words and not given.on("--all"):
        raise UsageError("invalid command")
    found = _named(homes.find(environ), "*" if given.on("--all") else given.words[0])
    if not found and not given.on("--all"):
        raise UsageError("no instance found")
    number = signal.SIGKILL if given.on("--force") else _signal(given.value("--signal", "TERM"))
    for entry in found:
        messages.info(f"Stopping {entry.name} instance of {entry.image} (PID={entry.pid})")
        _stop(entry, number, float(given.value("--timeout", str(STOP_SECONDS))))
    return 0


def join(wanted: Action, environ: Mapping[str, str]) -> int:
    """exec, run, shell and test in an instance."""
    name = wanted.image[len(options.INSTANCE) :]
    home = homes.find(environ)
    found = _named(home, name)
    if not found:
        raise Error(f"no instance found with name {name}")
    there = found[0].action
    joined = there._replace(
        verb=wanted.verb,
        command=wanted.command,
        env=wanted.env,
        env_files=wanted.env_files,
        cleanenv=wanted.cleanenv,
        cwd=wanted.cwd,
        app=wanted.app,
        shell=wanted.shell,
    )
    target = images.target(home, joined.image, environ, insecure=joined.no_https)
    return actions.start_in(actions.Run(home, target, actions.person(environ), joined))


def _detach(run: Run, folder: str) -> bool:
    """Starts the process that stays; returns whether it said that it could begin."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            return pipe.read() == b"ok"
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.setpgid(0, 0)
        os.close(reader)
        _redirect(os.path.join(folder, run.action.instance))
        _stay(run, folder, writer)
    except BaseException as e:
        messages.fatal(str(e))
    finally:
        os._exit(0)


def _redirect(base: str) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, kind in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{base}.{kind}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)


def _stay(run: Run, folder: str, writer: int) -> None:
    record = os.path.join(folder, "instance.json")
    pid = os.getpid()
    document = {"pid": pid, "start": running.start_time(pid), "action": run.action._asdict()}
    atomic.write(record, json.dumps(document).encode())
    os.write(writer, b"ok")
    os.close(writer)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(Error):
        actions.start_in(run, wait=True)
    sys.stdout.flush()
    while os.path.exists(record):
        signal.pause()  # until we are told to stop


def _stop(entry: Instance, number: int, seconds: float) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(entry.folder, "instance.json"))
    _kill(entry, number)
    end = time.monotonic() + seconds
    while entry.alive() and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    if entry.alive():
        _kill(entry, signal.SIGKILL)
    tree.remove(entry.folder)


def _kill(entry: Instance, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(entry.pid, number)


def _signal(text: str) -> int:
    if text.isdigit():
        return int(text)
    try:
        return signal.Signals[text if text.startswith("SIG") else f"SIG{text}"]
    except KeyError:
        raise UsageError(f"unknown signal {text}") from None


def _named(home: Home, pattern: str) -> list[Instance]:
    return [entry for entry in _listing(home) if fnmatch.fnmatchcase(entry.name, pattern)]


def _folder(home: Home, name: str) -> str:
    return os.path.join(home.run, "instances", name)


def _listing(home: Home) -> list[Instance]:
    try:
        found = sorted(os.listdir(os.path.join(home.run, "instances")))
    except FileNotFoundError:
        return []
    read = (_read(name, _folder(home, name)) for name in found)
    return [entry for entry in read if entry is not None and entry.alive()]


def _read(name: str, folder: str) -> Instance | None:
    try:
        with open(os.path.join(folder, "instance.json"), encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError):
        return None
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in document["action"].items()
    }
    return Instance(name, document["pid"], document["start"], Action(**fields), folder)


def _document(entry: Instance) -> dict[str, Any]:
    return {
        "instance": entry.name,
        "pid": entry.pid,
        "img": entry.image,
        "ip": "",
        "logErrPath": entry.log("err"),
        "logOutPath": entry.log("out"),
    }
