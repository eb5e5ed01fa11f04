"""An Action -> a Plan: what Apptainer would show its guest, and as whom."""

from __future__ import annotations

import os
from typing import NamedTuple

from udockpy.container.plan import Bind, Identity, Plan
from udockpy.dropin.apptainer import action_script, binds
from udockpy.dropin.apptainer.environment import environment
from udockpy.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.container.caller import Caller
    from udockpy.container.spec import Place
    from udockpy.dropin.apptainer.options import Action
    from udockpy.dropin.apptainer.session import Session

# Not shown because they are the current directory: they would hide the image's own.
SYSTEM = ("/", "/etc", "/bin", "/mnt", "/usr", "/var", "/opt", "/sbin", "/lib", "/lib64")
KERNEL = ("/sys", "/proc", "/dev")
FILES = ("/etc/hosts", "/etc/resolv.conf", "/etc/localtime")
TEMPORARY = {"/tmp": "tmp", "/var/tmp": "var_tmp"}
ROOT_HOME = "/root"


class Home(NamedTuple):
    """The home directory: of the host ("" = an empty one), and where the guest has it."""

    source: str
    target: str


def home_of(action: Action, caller: Caller) -> Home:
    """What --home says, else the user's own."""
    source, colon, target = action.home.partition(":")
    if target and not target.startswith("/"):
        raise UsageError("home directory must be an absolute path", target)
    if source:
        source = os.path.join(caller.cwd, source)
        return Home(source, os.path.normpath(target if colon else source))
    own = "" if action.contain else caller.home
    return Home(own, ROOT_HOME if action.fakeroot else caller.home)


def plan(
    action: Action,
    caller: Caller,
    place: Place,
    session: Session,
    command: tuple[str, ...],
    *,
    name: str,
    scripts: bool,
) -> Plan:
    """Decides a run of `command`. `scripts`: the image has some, and a shell that reads them."""
    home = home_of(action, caller)
    every = _binds(action, caller, session, home)
    variables = environment(action, caller.environ, name=name, home=home.target)
    if scripts:
        command = action_script.wrapped(command, variables)
        words = variables.base
    else:
        words = variables.merged(dict(word.split("=", 1) for word in place.says.env if "=" in word))
    root = Identity(0, 0, (0,), pretend=True)
    return Plan(
        rootfs=place.rootfs,
        command=command,
        identity=root if action.fakeroot else Identity(caller.uid, caller.gid, caller.groups),
        environment=tuple(words.items()),
        binds=(*every, *place.merged),
        chdir=action.cwd or caller.cwd,
        read_only=not action.writable,
        fakedb=place.fakedb if action.fakeroot else "",
        cache=place.cache,
        namespaces=action.namespaces,
        hostname=action.hostname,
    )


def _binds(action: Action, caller: Caller, session: Session, home: Home) -> list[Bind]:
    """All of them; what the user named comes last, and may cover the rest."""
    off = set(action.no_mount)
    standard = [
        *_kernel(action, session, off),
        *_temporary(action, session, off),
        *_home(action, session, home, off),
        *_current(action, caller, off),
    ]
    standard = [bind for bind in standard if bind.target not in off]
    named = [
        *binds.of_binds(action.binds, caller.cwd),
        *binds.of_mounts(action.mounts, caller.cwd),
        *_scratch(action, session),
    ]
    return [*sorted(standard, key=lambda bind: bind.target.count("/")), *named]


def _kernel(action: Action, session: Session, off: set[str]) -> list[Bind]:
    made = [Bind(f"/{name}", f"/{name}") for name in ("proc", "sys") if name not in off]
    if "dev" not in off:
        made += session.devices() if action.contain else [Bind("/dev", "/dev")]
    files = [path for path in FILES if os.path.exists(path)]
    return [*made, *(Bind(path, path, read_only=True, optional=True) for path in files)]


def _temporary(action: Action, session: Session, off: set[str]) -> list[Bind]:
    if "tmp" in off:
        return []
    if action.contain:
        return [Bind(session.folder(name, mode=0o1777), path) for path, name in TEMPORARY.items()]
    return [Bind(path, path) for path in TEMPORARY]


def _home(action: Action, session: Session, home: Home, off: set[str]) -> list[Bind]:
    if action.no_home or "home" in off:
        return []
    if home.source and not os.path.isdir(home.source):
        return []
    return [Bind(home.source or session.folder("home", mode=0o750), home.target)]


def _current(action: Action, caller: Caller, off: set[str]) -> list[Bind]:
    cwd = caller.cwd
    if action.contain or "cwd" in off or cwd in SYSTEM or not os.path.isdir(cwd):
        return []
    if any(f"{cwd}/".startswith(f"{path}/") for path in KERNEL):
        return []
    return [Bind(cwd, cwd)]


def _scratch(action: Action, session: Session) -> list[Bind]:
    made = []
    for path in action.scratch:
        target = os.path.normpath(f"/{path}").replace("//", "/")
        made.append(Bind(session.folder(f"scratch{target}", mode=0o1777), target))
    return made
