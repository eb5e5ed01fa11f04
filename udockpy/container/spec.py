"""Options -> Plan. Pure: everything that had to be looked up comes in as values."""

from __future__ import annotations

from typing import NamedTuple

from udockpy.container import binds, environment, singularity, users
from udockpy.container.plan import Bind, Identity, Plan
from udockpy.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.config import Config
    from udockpy.container.caller import Caller
    from udockpy.container.options import RunOptions
    from udockpy.container.users import Accounts


class Says(NamedTuple):
    """What an image says of how it is run."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    workdir: str = ""  # empty where the guest has no such directory
    user: str = ""
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    scripts: bool = False  # its environment is what Singularity's scripts in it say


class Place(NamedTuple):
    """Where a guest runs, and what was read there."""

    rootfs: str
    fakedb: str
    cache: str
    accounts: Accounts
    merged: tuple[Bind, ...] = ()  # the password and group files that show the user to his guest
    shell: str = "/bin/sh"
    read_only: bool = False
    volumes: tuple[Bind, ...] = ()  # what can be written to all the same
    shared: bool = False
    overlay: str = ""
    says: Says = Says()


class _Person(NamedTuple):
    """Whom the guest runs as."""

    identity: Identity
    name: str
    home: str


ROOT = _Person(Identity(0, 0, (0,), pretend=True), "root", "/root")


def plan(config: Config, caller: Caller, place: Place, options: RunOptions) -> Plan:
    """Decides everything about one run."""
    person = _person(caller, place.accounts, options)
    told = _told(caller.environ, options)
    pretend = person.identity.pretend
    standard = binds.standard(config, caller, pretend_root=pretend)
    named = [bind for text in options.bind for bind in binds.parse(text, cwd=caller.cwd)]
    every = (*standard, *(() if pretend else place.merged), *place.volumes, *named)
    return Plan(
        rootfs=place.rootfs,
        command=_command(place, options, told),
        identity=person.identity,
        environment=tuple(_environment(config, caller, person, place.says, told).items()),
        binds=every,
        chdir=_chdir(caller, person, every, place.says, options.workdir),
        read_only=options.read_only or place.read_only,
        shared=place.shared,
        overlay=place.overlay,
        # A file that gets its own copy keeps what it pretends, whoever writes to it.
        fakedb=place.fakedb if pretend or place.shared else "",
        cache=place.cache,
        namespaces=_namespaces(options),
        hostname=options.hostname or "",
        map_subuids=pretend and config.map_subuids,
    )


def command(says: Says, options: RunOptions) -> tuple[str, ...]:
    """The guest's command line, as docker puts it together; empty where nobody says one."""
    if options.entrypoint is None:
        return (*says.entrypoint, *(options.command or says.cmd))
    return (*filter(None, (options.entrypoint,)), *options.command)


def _command(place: Place, options: RunOptions, told: Mapping[str, str]) -> tuple[str, ...]:
    words = command(place.says, options) or (place.shell,)
    if not place.says.scripts:
        return words
    return singularity.wrapped(words, tuple(f"{name}={value}" for name, value in told.items()))


def _person(caller: Caller, accounts: Accounts, options: RunOptions) -> _Person:
    if options.user is not None:
        identity, user = users.resolve(options.user, accounts)
        if (identity.uid, identity.gid) != (caller.uid, caller.gid) or options.root:
            return _Person(identity, user.name, user.home or "/")
    elif options.root:
        return ROOT
    return _Person(Identity(caller.uid, caller.gid, caller.groups), "", caller.home)


def _environment(
    config: Config, caller: Caller, person: _Person, says: Says, told: Mapping[str, str]
) -> dict[str, str]:
    host = caller.environ
    if person.identity.pretend:
        base = environment.of_pretended(host, path=config.path, home=person.home, name=person.name)
    else:
        base = environment.of_user(host, path=config.path, home=person.home)
    # A word without = would pass on a value of the host's, which is not for an image to ask.
    image = environment.assignments((word for word in says.env if "=" in word), {})
    return {**base, **image, **told}


def _told(host: Mapping[str, str], options: RunOptions) -> dict[str, str]:
    """The variables that the user gave; a file of them may be a pipe, so they are read once."""
    words = [word for path in options.env_file for word in environment.read_file(path)]
    return environment.assignments([*words, *options.env], host)


def _chdir(
    caller: Caller, person: _Person, every: tuple[Bind, ...], says: Says, workdir: str | None
) -> str:
    """The guest's first directory: as told, else where the user is if the guest can see that, else
    his home, else where the image says, else /.
    """
    if workdir is not None:
        if not workdir.startswith("/"):
            raise UsageError(
                "bad working directory", workdir or "(empty)", "not an absolute path of the guest"
            )
        return workdir
    elsewhere = says.workdir or "/"
    if person.identity.pretend:
        return elsewhere
    for path in (caller.cwd, caller.home):
        if any(
            f"{path}/".startswith(f"{bind.target}/") and bind.source == bind.target
            for bind in every
        ):
            return path
    return elsewhere


def _namespaces(options: RunOptions) -> tuple[str, ...]:
    asked = {
        "pid": options.pid,
        "ipc": options.ipc,
        "uts": bool(options.hostname),
        "net": options.net,
    }
    return tuple(name for name, wanted in asked.items() if wanted)
