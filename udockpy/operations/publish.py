"""publish: let everybody read a store, as a site's store for all its users."""

from __future__ import annotations

import os

from udockpy import home as homes
from udockpy.errors import BusyError
from udockpy.layer.fakedb import MODE, Fakedb, Record, key_of
from udockpy.layer.member import Kind
from udockpy.layer.tree_reader import open_tree
from udockpy.store import images
from udockpy.store.tree import Tree, tree_in
from udockpy.util import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

READ, ENTER = 0o444, 0o555


def publish(environ: Mapping[str, str]) -> str:
    """Makes images readable, and remembers the modes that their files had; returns the path."""
    home = homes.find(environ)
    with lock.exclusive_if_free(images.lock_file(home, "store")) as free:
        if not free:
            reason = "another process is adding to it"
            raise BusyError("cannot publish the store", home.path, reason, hint="try again")
        _allow(home.path, ENTER)
        for folder in (home.images, home.trees, home.imported):
            if os.path.isdir(folder):
                _allow(folder, ENTER)
        for path in _below(os.path.join(home.images)):
            _allow(path, ENTER if os.path.isdir(path) else READ)
        for folder in (home.trees, home.imported):
            for name in os.listdir(folder) if os.path.isdir(folder) else ():
                if not name.startswith("."):
                    _publish_tree(os.path.join(folder, name))
    return home.path


def _publish_tree(folder: str) -> None:
    _open_files(tree_in(folder))
    for path in (os.path.join(folder, name) for name in os.listdir(folder)):
        if os.path.isfile(path):
            _allow(path, READ)
    _allow(folder, ENTER)  # last: until then nobody uses it


def _open_files(tree: Tree) -> None:
    """What a file's mode was is what it pretends from now on."""
    with (
        Fakedb(tree.fakedb, create=True) as fakedb,
        open_tree(tree.rootfs, tree.fakedb) as reader,
    ):
        for member in reader.names():
            path = os.path.join(tree.rootfs, member.name)
            real = os.lstat(path).st_mode
            wanted = ENTER if real & 0o111 or member.kind is Kind.DIRECTORY else READ
            if member.kind is not Kind.SYMLINK and real & wanted != wanted:
                fd = os.open(os.path.dirname(path), os.O_PATH)
                try:
                    key = key_of(os.path.basename(path), dir_fd=fd)
                finally:
                    os.close(fd)
                fakedb.update(key, Record(MODE, mode=member.mode))
                _allow(path, wanted)


def _below(folder: str) -> Iterator[str]:
    for base, folders, names in os.walk(folder):
        for name in (*folders, *names):
            yield os.path.join(base, name)


def _allow(path: str, bits: int) -> None:
    os.chmod(path, os.stat(path).st_mode & 0o7777 | bits)
