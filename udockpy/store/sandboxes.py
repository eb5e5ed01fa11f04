"""What is remembered of sandboxes: directories of the user, in which nothing of ours is written."""

from __future__ import annotations

import os

from udockpy import home as homes
from udockpy.home import Home
from udockpy.store.tree import Tree
from udockpy.util import atomic


def folder_of(home: Home, rootfs: str) -> str:
    """Where the state of a sandbox is: known by its inode, so that it may be renamed."""
    found = os.stat(rootfs)
    return os.path.join(home.sandboxes, f"{found.st_dev:x}-{found.st_ino:x}")


def tree_of(home: Home, rootfs: str) -> Tree:
    """The sandbox as a tree, for reading."""
    return Tree(rootfs, os.path.join(folder_of(home, rootfs), "fakedb"))


def remember(home: Home, rootfs: str) -> str:
    """Makes the state folder of a sandbox, and notes where the sandbox is."""
    folder = homes.make(folder_of(home, rootfs))
    atomic.write_if_changed(os.path.join(folder, "path"), os.fsencode(os.path.realpath(rootfs)))
    return folder


def folder_at(home: Home, rootfs: str) -> str | None:
    """The state folder of a sandbox that was last seen at a path, where there may be nothing now;
    the newest, if there were several.
    """
    wanted = os.fsencode(os.path.realpath(rootfs))
    found = []
    for name in os.listdir(homes.make(home.sandboxes)):
        path = os.path.join(home.sandboxes, name, "path")
        try:
            with open(path, "rb") as file:
                if file.read() == wanted:
                    found.append((os.stat(path).st_mtime_ns, os.path.dirname(path)))
        except FileNotFoundError:
            continue
    return max(found)[1] if found else None
