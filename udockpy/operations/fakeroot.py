"""fakeroot: the user's own files, no sandbox, and a pretended root whose memory lasts as long as
the command, unless it is saved.
"""

from __future__ import annotations

import os
import tempfile
from typing import NamedTuple

from udockpy import config as configs
from udockpy import home as homes
from udockpy.container.plan import Identity, Plan
from udockpy.engines.execute import execute_and_wait
from udockpy.errors import StateError, UsageError, reason_of
from udockpy.home import Home
from udockpy.layer import fakeroot_file
from udockpy.layer.fakedb import Fakedb
from udockpy.operations.prepare import cache_file, launchable
from udockpy.store import targets
from udockpy.store.tree import Tree
from udockpy.util import atomic, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.operations.prepare import Prepared

# What the real one sets: programs look whether it is there.
KEY, MODE = "FAKEROOTKEY", "FAKED_MODE"


class Fakeroot(NamedTuple):
    """What to run, and what to remember."""

    command: tuple[str, ...]
    load: str | None
    save: str | None
    unknown_is_real: bool
    engine: str | None
    verbose: bool


def fakeroot(options: Fakeroot, environ: Mapping[str, str]) -> int:
    """Runs a command and returns its exit status."""
    if KEY in environ:
        raise UsageError("cannot run fakeroot", "", f"{KEY} is set: this is one already")
    with tempfile.TemporaryDirectory(prefix="udockpy-fakeroot-") as scratch:
        path = os.path.join(scratch, "fakedb")
        with Fakedb(path, create=True) as fakedb:
            if options.load:
                _load(fakedb, options.load)
            prepared = _prepare(options, environ, scratch)
            if options.verbose:
                process.say(prepared.choice.describe())
            status = execute_and_wait(prepared.launch)
            if options.save:
                _save(fakedb, options)
    return status


def _prepare(options: Fakeroot, environ: Mapping[str, str], scratch: str) -> Prepared:
    home = _home(environ, scratch)
    config = configs.load(homes.config_file(environ), environ, {"engine": options.engine})
    owners = "real" if options.unknown_is_real else "root"
    shell = environ.get("SHELL") or "/bin/sh"
    # The whole host is its guest's root: then chroot(2) can be answered too, and debootstrap works.
    plan = Plan(
        rootfs="/",
        command=options.command or (shell,),
        identity=Identity(0, 0, (0,), pretend=True),
        environment=(
            *environ.items(),
            (KEY, str(os.getpid())),
            (MODE, f"unknown-is-{owners}"),
        ),
        chdir=os.getcwd(),
        fakedb=os.path.join(scratch, "fakedb"),
        cache=cache_file(home, "/"),
        owners=owners,
    )
    target = targets.Target(targets.SANDBOX, "/", Tree("/", plan.fakedb), scratch)
    return launchable(home, config, target, plan)


def _home(environ: Mapping[str, str], scratch: str) -> Home:
    """The state directory, or a short-lived one: build machines often have no home."""
    try:
        home = homes.find(environ)
        homes.make(home.run)
    except StateError:
        return Home(scratch)
    return home


def _load(fakedb: Fakedb, path: str) -> None:
    if not os.path.isfile(path):
        # As the real one has it: the first of a row of runs has nothing to load.
        process.say(f"fakeroot: nothing to load: {path} is not there")
        return
    try:
        with open(path, encoding="ascii") as file:
            for key, record in fakeroot_file.parse(file):
                fakedb.update(key, record)
    except ValueError as e:
        raise UsageError("cannot load", path, str(e)) from e


def _save(fakedb: Fakedb, options: Fakeroot) -> None:
    path = options.save or ""
    unknown = (os.getuid(), os.getgid()) if options.unknown_is_real else (0, 0)
    text = "".join(fakeroot_file.format(fakedb.records(), unknown)).encode()
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as pipe:
                pipe.write(text)
        else:
            atomic.write(path, text)
    except OSError as e:
        raise StateError("cannot save", path, reason_of(e)) from e
