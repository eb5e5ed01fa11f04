"""Where binds go: their targets as the guest's own links lead, and the directories on the way there
that the guest lacks.

No engine changes a root filesystem, so missing directories are shown from a skeleton: a read-only
tree of empty directories and files, shared by runs that lack the same.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from udockpy.container.plan import Bind
from udockpy.errors import BindError, reason_of
from udockpy.util.beneath import MAX_LINKS, components

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.container.plan import Plan

HINT_SOURCE = "the source must exist on the host"
HINT_TARGET = "bind it somewhere else"


class Missing(NamedTuple):
    """A mount point that the guest lacks, with a directory on the way to it."""

    path: str
    is_dir: bool


class Settled(NamedTuple):
    """A plan whose binds are ready for any engine, and what its skeleton must hold."""

    plan: Plan
    skeleton: str
    missing: tuple[Missing, ...]


def settle(plan: Plan, folder: str) -> Settled:
    """Makes a plan's root and sources real paths, resolves the targets inside the guest, and binds
    directories of a skeleton in `folder` where something is missing on the way.

    Raises BindError for a source that is not there and for a target that cannot be bound on.
    """
    guest = _Guest(os.path.realpath(plan.rootfs))
    missing = set()
    for bind in plan.binds:
        try:
            is_dir = stat.S_ISDIR(os.stat(bind.source).st_mode)
        except OSError as e:
            raise BindError("cannot bind", bind.source, reason_of(e), hint=HINT_SOURCE) from e
        target = guest.resolve(bind)
        guest.check(bind, target, is_dir=is_dir)
        guest.make_way(bind, target)
        made = guest.is_made(os.path.dirname(target))
        if made:
            missing.add(Missing(target, is_dir))
        appears = not made and not guest.has(target)
        guest.binds.append(bind._replace(source=_real(bind.source), target=target, appears=appears))
    every = tuple(sorted(missing))
    skeleton = _skeleton(folder, every) if every else ""
    binds = tuple(
        bind if bind.source else bind._replace(source=skeleton + bind.target)
        for bind in guest.binds
    )
    return Settled(plan._replace(rootfs=guest.rootfs, binds=binds), skeleton, every)


def make(settled: Settled) -> None:
    """Makes the skeleton of a plan. What is there already stays."""
    for path, is_dir in settled.missing:
        place = settled.skeleton + path
        os.makedirs(place if is_dir else os.path.dirname(place), exist_ok=True)
        if not is_dir:
            os.close(os.open(place, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o644))


def seen(plan: Plan, path: str) -> str:
    """The host's path of what a guest sees at `path`, its links followed; nothing may be there. The
    plan is settled.
    """
    guest = _Guest(plan.rootfs)
    guest.binds = list(plan.binds)
    return guest.follow(path)


def _skeleton(folder: str, missing: tuple[Missing, ...]) -> str:
    import hashlib

    key = hashlib.sha256(os.fsencode(repr(missing))).hexdigest()[:16]
    return os.path.join(folder, f"mountpoints-{key}")


def _real(source: str) -> str:
    """Host paths in a view have no links, so that the kernel can be asked to meet none. Those of
    /proc are about who looks.
    """
    return source if source.startswith("/proc/") else os.path.realpath(source)


class _Guest:
    """What the guest sees with the binds so far."""

    def __init__(self, rootfs: str) -> None:
        self.rootfs = rootfs
        self.binds: list[Bind] = []  # source "" = of the skeleton

    def has(self, path: str) -> bool:
        return os.path.lexists(self._host(path))

    def is_made(self, path: str) -> bool:
        """Whether a path lies in the skeleton."""
        return not self._cover(path).source

    def resolve(self, bind: Bind) -> str:
        """The canonical path of a bind's target. A final link that dangles is covered itself."""
        *parents, name = components(bind.target)
        parent = self._walk(bind, "", parents)
        target = self._walk(bind, parent, [name])
        return target if self.has(target) else f"{parent}/{name}"

    def follow(self, path: str) -> str:
        """The host path that a path of the guest leads to."""
        return self._host(self._walk(Bind("", path), "", components(path)))

    def check(self, bind: Bind, target: str, *, is_dir: bool) -> None:
        """Refuses a file over a directory and a directory over a file."""
        if not target:
            raise _unusable(bind, "that is the guest's root")
        try:
            there = os.lstat(self._host(target)).st_mode
        except OSError:
            return
        if stat.S_ISLNK(there):
            return
        if stat.S_ISDIR(there) and not is_dir:
            raise _unusable(bind, "a file cannot cover a directory")
        if is_dir and not stat.S_ISDIR(there):
            raise _unusable(bind, "a directory cannot cover a file")

    def make_way(self, bind: Bind, target: str) -> None:
        """Binds the topmost missing directory on the way to a target, if there is one."""
        path = ""
        for name in components(target)[:-1]:
            path = f"{path}/{name}"
            if self.is_made(path):
                continue
            try:
                there = os.lstat(self._host(path)).st_mode
            except FileNotFoundError:
                self.binds.append(Bind("", path, read_only=True, appears=True))
                return
            except OSError as e:
                raise _unusable(bind, f"{path}: {reason_of(e)}") from e
            if not stat.S_ISDIR(there):
                raise _unusable(bind, f"{path} is not a directory")

    def _walk(self, bind: Bind, at: str, todo: list[str]) -> str:
        """Follows links from the canonical path `at` on; "" is the root."""
        links = 0
        while todo:
            name, *todo = todo
            path = at.rpartition("/")[0] if name == ".." else f"{at}/{name}"
            link = "" if name == ".." else self._link(path)
            if not link:
                at = path
                continue
            links += 1
            if links > MAX_LINKS:
                raise _unusable(bind, os.strerror(errno.ELOOP))
            at = "" if link.startswith("/") else at
            todo = [*components(link), *todo]
        return at

    def _link(self, path: str) -> str:
        """The text of a symbolic link, "" for anything else."""
        if any(bind.target == path for bind in self.binds):
            return ""
        host = self._host(path)
        try:
            return "" if host.startswith("/proc/") else os.readlink(host)
        except OSError:
            return ""

    def _cover(self, path: str) -> Bind:
        """The bind that a canonical guest path lies under, or one of the root."""
        best = Bind(self.rootfs, "")
        for bind in self.binds:
            if _is_beneath(path, bind.target) and len(bind.target) >= len(best.target):
                best = bind
        return best

    def _host(self, path: str) -> str:
        """The host path of a canonical guest path."""
        bind = self._cover(path)
        if not bind.source:
            return os.devnull + path  # not there: the skeleton is yet to be made
        return bind.source.rstrip("/") + path[len(bind.target) :]


def _is_beneath(path: str, top: str) -> bool:
    return f"{path}/".startswith(f"{top}/")


def _unusable(bind: Bind, reason: str) -> BindError:
    return BindError("cannot bind", f"{bind.source} at {bind.target}", reason, hint=HINT_TARGET)
