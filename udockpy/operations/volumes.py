"""Volumes: directories that an image sets apart for data.

They are directories of the container. What is in them is no part of an image that is made of it,
and they can be written where nothing else can.
"""

from __future__ import annotations

import os
import stat
import time

from udockpy.container.plan import Bind
from udockpy.errors import ArchiveError
from udockpy.layer.member import Kind, Member, clean_name
from udockpy.util.beneath import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from udockpy.store.tree import Tree


def names(volumes: Iterable[str]) -> list[str]:
    """Volumes as names of members; what cannot be one is passed over."""
    found = set()
    for volume in volumes:
        try:
            found.add(clean_name(volume))
        except ArchiveError:
            continue
    return sorted(found - {""})


def outside(members: Iterable[Member], volumes: Iterable[str]) -> Iterator[Member]:
    """The members that no volume holds."""
    inside = tuple(f"{name}/" for name in names(volumes))
    return (member for member in members if not inside or not member.name.startswith(inside))


def make(tree: Tree, volumes: Iterable[str]) -> None:
    """Makes the volumes that a new container's tree lacks."""
    from udockpy.layer.tree_writer import write_tree

    missing = [name for name in names(volumes) if not _is_directory(tree.rootfs, name)]
    if missing:
        now = time.time_ns()
        made = (Member(name, Kind.DIRECTORY, mode=0o755, mtime_ns=now) for name in missing)
        write_tree(made, tree.rootfs, tree.fakedb)


def binds(tree: Tree, volumes: Iterable[str]) -> list[Bind]:
    """What shows a container its own volumes where it may not write to anything else."""
    return [
        Bind(os.path.join(tree.rootfs, name), f"/{name}", optional=True)
        for name in names(volumes)
        if _is_directory(tree.rootfs, name)
    ]


def _is_directory(rootfs: str, name: str) -> bool:
    try:
        with Root(rootfs) as root:
            return stat.S_ISDIR(root.stat(name).st_mode)
    except OSError:
        return False
