"""Images in single files: unpacked once, by content, and run as other images are."""

from __future__ import annotations

import os

from udockpy import home as homes
from udockpy.operations import trees
from udockpy.store import files, images
from udockpy.store.targets import IMAGE, Target
from udockpy.store.tree import Tree, tree_in
from udockpy.util import atomic, lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.home import Home


def target(home: Home, path: str) -> Target:
    """The image in the file `path`, whose tree is there afterwards."""
    path = os.path.abspath(path)
    folder = files.known(home, path) or _unpack(home, path)
    return Target(IMAGE, path, tree_in(folder), folder)


def fill(path: str, tree: Tree) -> None:
    """Fills a new tree with the image's root filesystem."""
    from udockpy.layer.squashfs_reader import SquashfsReader
    from udockpy.layer.tree_writer import write_tree

    part = files.root_filesystem(path)
    os.mkdir(tree.rootfs, 0o755)
    with open(path, "rb") as file:
        write_tree(SquashfsReader(file, path, part.offset).members(), tree.rootfs, tree.fakedb)


def _unpack(home: Home, path: str) -> str:
    value = files.digest(path, files.root_filesystem(path))
    folder = os.path.join(homes.make(home.files), value)
    with (
        lock.shared(images.lock_file(home, "store")),
        lock.exclusive(images.lock_file(home, f"tree-{value}")),
    ):
        if not os.path.isdir(folder):
            with atomic.new_directory(folder) as scratch:
                fill(path, tree_in(scratch))
                trees.mark(tree_in(scratch))
        files.remember(home, path, value)
    return folder
