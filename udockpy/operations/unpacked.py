"""Image files that were unpacked, to be run: a cache, which can be emptied."""

from __future__ import annotations

import os
from typing import NamedTuple

from udockpy.errors import BusyError
from udockpy.store import images, running
from udockpy.util import lock, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.home import Home


class Unpacked(NamedTuple):
    """One of them."""

    path: str
    size: int  # bytes on the disk


def listing(home: Home) -> list[Unpacked]:
    """All of them."""
    return [Unpacked(path, _size(path)) for path in _paths(home) if _is_tree(path)]


def clean(home: Home, *, dry_run: bool) -> list[str]:
    """Removes all of them, and returns which; nothing may run, for it might run in one."""
    with lock.exclusive(images.lock_file(home, "store")):
        pids = [str(guest.pid) for guest in running.listing(home)]
        if pids and not dry_run:
            reason = f"process {', '.join(pids)} may use them"
            raise BusyError("cannot remove unpacked images", home.files, reason)
        paths = _paths(home)
        for path in paths if not dry_run else ():
            if _is_tree(path):
                tree.discard(path)
            else:
                os.unlink(path)
    return paths


def _is_tree(path: str) -> bool:
    """Beside the trees there is what is remembered of the files that they were in."""
    return os.path.isdir(path) and not os.path.islink(path)


def _paths(home: Home) -> list[str]:
    try:
        found = sorted(os.listdir(home.files))
    except FileNotFoundError:
        return []
    return [os.path.join(home.files, name) for name in found if not name.startswith(".")]


def _size(path: str) -> int:
    size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            size += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return size
