"""From options to a launch: the pipeline that run, exec, shell and bootstrap share."""

from __future__ import annotations

import os
from typing import NamedTuple

from udockpy import config as configs
from udockpy import home as homes
from udockpy.container import caller, guest, mountpoints, spec, users
from udockpy.container.plan import Bind, Plan
from udockpy.engines import host
from udockpy.engines.interface import Launch
from udockpy.engines.select import Choice, select
from udockpy.errors import EngineError, StateError, TargetError, reason_of
from udockpy.operations import says
from udockpy.store import sandboxes, targets
from udockpy.util import atomic
from udockpy.util.process import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.config import Config
    from udockpy.container.caller import Caller
    from udockpy.container.guest import Program
    from udockpy.container.options import RunOptions
    from udockpy.container.users import Accounts, Group, User
    from udockpy.home import Home
    from udockpy.store.targets import Target


class Prepared(NamedTuple):
    """A run, decided."""

    target: Target
    plan: Plan
    program: Program
    choice: Choice
    launch: Launch


def prepare(
    home: Home, target: Target, options: RunOptions, environ: Mapping[str, str]
) -> Prepared:
    """Decides a run. Writes only what is remembered of its target."""
    told = {"engine": options.engine, "image_user": "yes" if options.image_user else None}
    config = configs.load(homes.config_file(environ), environ, told)
    refuse_noexec(target)
    person = caller.gather(environ)
    said = says.of(home, target)
    if config.image_user and said.user and not options.root and options.user is None:
        options = options._replace(user=said.user)
    plan = spec.plan(config, person, place(home, target, said, person, options), options)
    return launchable(home, config, target, plan)


def launchable(home: Home, config: Config, target: Target, plan: Plan) -> Prepared:
    """Chooses the engine of a plan."""
    plan = _with_mountpoints(home, plan)
    program = guest.program(plan)
    try:
        choice = _choose(home, plan, program, config.engine)
    except EngineError as e:
        if not plan.shared or plan.overlay or target.kind != targets.CONTAINER:
            raise
        plan = plan._replace(shared=False)
        choice = _choose(home, plan, program, config.engine)
        _part(home, target, e)
    _make_fakedb(plan.fakedb)
    return Prepared(target, plan, program, choice, _launch(home, plan, choice))


def _part(home: Home, target: Target, error: EngineError) -> None:
    """Ends the sharing of files, where that is all that no engine can do."""
    from udockpy.operations import containers, trees

    containers.refuse_running(home, target.name, "cannot copy the shared files of")
    say(f"copying the files that {target.name} shares with its image: {error.reason}")
    trees.part(target.tree)


def _launch(home: Home, plan: Plan, choice: Choice) -> Launch:
    """The engine's launch; where it believes a probe's memory, a refusal ends that belief."""
    launch = choice.engine.launch(plan)
    memory = host.memory(home, choice.engine.helper)
    if not os.path.exists(memory):
        return launch
    helper, *rest = launch.argv
    return launch._replace(argv=(helper, "--probe-memory", memory, *rest))


def _choose(home: Home, plan: Plan, program: Program, wanted: str) -> Choice:
    try:
        return select(plan, host.gather(home), program, wanted)
    except EngineError:
        # What is remembered may have been cured since.
        return select(plan, host.gather(home, fresh=True), program, wanted)


def state_folder(home: Home, target: Target) -> str:
    """Where the fakedb of a target is."""
    if target.kind == targets.SANDBOX or not os.access(target.state, os.W_OK):
        return sandboxes.remember(home, target.tree.rootfs)
    return target.state


def cache_file(home: Home, rootfs: str) -> str:
    """The directory cache, shared by all that runs in one root filesystem on this node until it
    reboots.
    """
    found = os.stat(rootfs)
    return os.path.join(homes.make(home.run), f"dircache-{found.st_dev:x}-{found.st_ino:x}")


def place(
    home: Home, target: Target, said: spec.Says, person: Caller, options: RunOptions
) -> spec.Place:
    """Reads where a guest is to run."""
    rootfs = target.tree.rootfs
    accounts = guest.accounts(rootfs)
    folder = state_folder(home, target)
    wanted = () if options.root else (person.environ.get("SHELL", ""),)
    told = spec.command(said, options)
    return spec.Place(
        rootfs=rootfs,
        fakedb=target.tree.fakedb,
        cache=cache_file(home, rootfs),
        accounts=accounts,
        merged=() if options.root or options.user else _merged(folder, accounts, person),
        shell="" if told else guest.find_shell(rootfs, wanted),
        read_only=target.kind == targets.IMAGE,
        volumes=_volumes(target, said) if options.read_only else (),
        shared=target.tree.shared,
        overlay=target.tree.overlay,
        says=said,
    )


def _volumes(target: Target, said: spec.Says) -> tuple[Bind, ...]:
    """A container's own, where the rest of it is read-only."""
    if target.kind != targets.CONTAINER or not said.volumes:
        return ()
    from udockpy.operations import volumes

    return tuple(volumes.binds(target.tree, said.volumes))


def _with_mountpoints(home: Home, plan: Plan) -> Plan:
    settled = mountpoints.settle(plan, home.run)
    if settled.missing:
        homes.make(home.run)
        try:
            mountpoints.make(settled)
        except OSError as e:
            raise StateError(
                "cannot make mount points", settled.skeleton, reason_of(e), hint=homes.HINT
            ) from e
    return settled.plan


def _make_fakedb(path: str) -> None:
    """Makes a database that is not there yet: in a namespace only its descriptor is left."""
    if path and not os.path.exists(path):
        from udockpy.layer.fakedb import Fakedb

        with Fakedb(path, create=True):
            pass


def _merged(folder: str, accounts: Accounts, person: Caller) -> tuple[Bind, ...]:
    """Files that show the user and his groups to a guest that has such files, which themselves stay
    as they are.
    """
    merged = users.merge(accounts, _host_user(person), _host_groups(person))
    made = []
    for name, text, old in (
        ("passwd", merged.passwd, accounts.passwd),
        ("group", merged.group, accounts.group),
    ):
        if old:
            path = os.path.join(folder, name)
            atomic.write_if_changed(path, text.encode("utf-8", "surrogateescape"), mode=0o644)
            made.append(Bind(path, f"/etc/{name}", read_only=True))
    return tuple(made)


def _host_user(person: Caller) -> User:
    import pwd

    try:
        known = pwd.getpwuid(person.uid)
    except KeyError:
        name = person.environ.get("USER") or f"user{person.uid}"
        return users.User(name, person.uid, person.gid, "", person.home, "/bin/sh")
    return users.User(
        known.pw_name, person.uid, person.gid, known.pw_gecos, person.home, known.pw_shell
    )


def _host_groups(person: Caller) -> list[Group]:
    import grp

    found = []
    for gid in dict.fromkeys((person.gid, *person.groups)):
        try:
            found.append(users.Group(grp.getgrgid(gid).gr_name, gid))
        except KeyError:
            found.append(users.Group(f"group{gid}", gid))
    return found


def refuse_noexec(target: Target) -> None:
    """Refuses a guest whose programs the host's kernel would refuse."""
    if os.statvfs(target.tree.rootfs).f_flag & os.ST_NOEXEC:
        hint = "keep it on another filesystem; UDOCKPY_HOME says where images and containers are"
        raise TargetError(
            "cannot run programs in",
            target.tree.rootfs,
            "its filesystem is mounted noexec",
            hint=hint,
        )
