"""exec, run, shell and test: start a guest."""

from __future__ import annotations

import os
from typing import NamedTuple

from udockpy import config as configs
from udockpy import home as homes
from udockpy.container import caller as callers
from udockpy.container import metadata, mountpoints, singularity
from udockpy.container.options import RunOptions
from udockpy.dropin.apptainer import images, messages
from udockpy.dropin.apptainer.plan import home_of, plan
from udockpy.dropin.apptainer.session import Session
from udockpy.errors import EngineError, Error
from udockpy.operations import prepare as preparing
from udockpy.operations import says
from udockpy.operations.run import begin
from udockpy.store import targets
from udockpy.util.beneath import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.config import Config
    from udockpy.container.caller import Caller
    from udockpy.container.plan import Plan
    from udockpy.container.spec import Says
    from udockpy.dropin.apptainer.options import Action
    from udockpy.home import Home
    from udockpy.operations.prepare import Prepared
    from udockpy.store.targets import Target

OPTIONAL = ("pid", "ipc", "uts")  # namespaces that a run can do without, where a node has none


class Nothing(Error):
    """There is nothing to run, which is no failure: the text says so."""


class Run(NamedTuple):
    """What runs where."""

    home: Home
    target: Target
    caller: Caller
    action: Action


def start(action: Action, environ: Mapping[str, str]) -> int:
    """Starts a guest; returns where it had to be waited for."""
    home = homes.find(environ)
    target = images.target(home, action.image, environ, insecure=action.no_https)
    return start_in(Run(home, target, person(environ), action))


def start_in(run: Run, *, wait: bool = False) -> int:
    """As start(), with what is known already; with `wait` we stay who we are."""
    if run.action.writable and run.target.kind == targets.IMAGE:
        raise Error(f"no SIF writable overlay partition found in {run.target.name}")
    if run.action.no_umask:
        os.umask(0o022)
    if run.action.writable_tmpfs and not run.action.writable:
        return _start_in_copy(run)
    return _start(run, wait=wait)


def person(environ: Mapping[str, str]) -> Caller:
    """The user. His home is that of the password file, for batch jobs have no HOME."""
    import pwd

    found = callers.gather(environ)
    try:
        return found._replace(home=os.path.normpath(pwd.getpwuid(found.uid).pw_dir))
    except KeyError:
        return found


def _start_in_copy(run: Run) -> int:
    """--writable-tmpfs: what is changed goes with the run."""
    from functools import partial

    from udockpy.operations import trees
    from udockpy.store import containers

    config = says.document(run.home, run.target)
    fill = partial(trees.copy, run.target.tree)
    container = containers.create(run.home, fill, image=run.target.name, name=None, config=config)
    try:
        target = targets.of_container(container)
        return _start(
            run._replace(target=target, action=run.action._replace(writable=True)), wait=True
        )
    finally:
        containers.remove(run.home, container)


def _start(run: Run, *, wait: bool = False) -> int:
    with Session(run.action.workdir, run.caller.environ) as session:
        try:
            prepared = prepare(run, session)
        except Nothing as e:
            print(e.what, flush=True)
            return 0
        return begin(run.home, prepared, wait=wait or session.used)


def prepare(run: Run, session: Session) -> Prepared:
    """Decides a run."""
    action, caller = run.action, run.caller
    engine = "userns" if action.userns else None
    config = configs.load(homes.config_file(caller.environ), caller.environ, {"engine": engine})
    preparing.refuse_noexec(run.target)
    seen_as = caller._replace(home=home_of(action, caller).target)
    options = RunOptions(target=run.target.name, command=("-",), root=action.fakeroot)
    place = preparing.place(run.home, run.target, says.of(run.home, run.target), seen_as, options)
    with Root(run.target.tree.rootfs) as root:
        command = _command(action, place.says, root)
        scripts = has(root, singularity.ENVIRONMENT) and has(root, "/bin/sh")
    made = plan(action, caller, place, session, command, name=_name(run.target), scripts=scripts)
    prepared = _in_directory(run, config, made)
    if not scripts:
        _find(prepared.plan, command[0])
    return prepared


def _in_directory(run: Run, config: Config, made: Plan) -> Prepared:
    """A run in the directory that was asked for, else the first that the guest has of the current
    one, home and the root.
    """
    prepared = _launchable(run, config, made)
    home = dict(made.environment)["HOME"]
    for path in (made.chdir, home, "/"):
        if os.path.isdir(mountpoints.seen(prepared.plan, path)):
            break
        if run.action.cwd:
            raise Error(f"failed to set working directory: chdir {path}: no such file or directory")
    if path == made.chdir:
        return prepared
    if not run.action.contain:
        messages.warn(f"could not chdir to {made.chdir}: no such directory; going to {path}")
    return _launchable(run, config, made._replace(chdir=path))


def _launchable(run: Run, config: Config, made: Plan) -> Prepared:
    """With an engine. What no engine can do here, and nothing depends on, is done without."""
    try:
        return preparing.launchable(run.home, config, run.target, made)
    except EngineError:
        kept = tuple(name for name in made.namespaces if name not in OPTIONAL)
        if kept == made.namespaces or run.action.userns:
            raise
        prepared = preparing.launchable(
            run.home, config, run.target, made._replace(namespaces=kept, hostname="")
        )
        lost = ", ".join(name for name in made.namespaces if name in OPTIONAL)
        messages.warn(f"no {lost} namespace: this node has no user namespaces")
        return prepared


def _name(target: Target) -> str:
    """What the guest is told of its image: a path, or a reference."""
    return target.tree.rootfs if target.kind == targets.CONTAINER else target.name


def _command(action: Action, says: Says, root: Root) -> tuple[str, ...]:
    if action.verb == "exec":
        return action.command
    if action.verb == "shell":
        return (*_shell(action, root), *action.command)
    folder = f"{metadata.APPS}/{action.app}/scif" if action.app else metadata.FOLDER
    if action.app and not has(root, folder):
        raise messages.NoApp(f"Could not locate the container application: {action.app}")
    if action.verb == "test":
        if not has(root, f"{folder}/test"):
            messages.info("No test script found in container, exiting")
            raise Nothing("No test found in container, executing /bin/sh -c true")
        return (f"{folder}/test", *action.command)
    if action.verb == "start":
        if not has(root, f"{folder}/startscript"):
            raise Nothing("")
        return (f"{folder}/startscript", *action.command)
    if action.app:
        return (f"{folder}/runscript", *action.command)
    command = (*says.entrypoint, *(action.command or says.cmd))
    if not command:
        raise Nothing("There is no runscript defined for this container")
    return command


def _shell(action: Action, root: Root) -> tuple[str, ...]:
    if action.shell:
        return (action.shell,)
    return ("/bin/bash", "--norc") if has(root, "/bin/bash") else ("/bin/sh",)


def _find(made: Plan, name: str) -> None:
    """Refuses a command that the guest does not have, in Apptainer's words, which scripts read."""
    if "/" in name:
        path = os.path.join(made.chdir, name)
        host = mountpoints.seen(made, path)
        if not os.path.lexists(host):
            raise Error(f"stat {name}: no such file or directory")
        if os.path.isdir(host) or not os.access(host, os.X_OK):
            raise Error("permission denied")
        return
    search = dict(made.environment).get("PATH", "").split(":")
    paths = (mountpoints.seen(made, f"{folder}/{name}") for folder in search)
    if not any(os.path.isfile(path) and os.access(path, os.X_OK) for path in paths):
        raise Error(f'"{name}": executable file not found in $PATH')


def has(root: Root, path: str) -> bool:
    """Whether a guest has something there."""
    try:
        root.stat(path)
    except OSError:
        return False
    return True
