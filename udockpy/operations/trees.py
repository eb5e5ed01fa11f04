"""Fills new trees, from archives, directories and other trees."""

from __future__ import annotations

import os
import stat

from udockpy.errors import ArchiveError, TargetError, reason_of
from udockpy.store.tree import Tree, check_rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from udockpy.layer.member import Member


def unpack(source: str, tree: Tree) -> None:
    """Fills a new tree from an archive ("-": standard input) or a directory."""
    from udockpy.layer.tar_reader import open_tar

    if source != "-" and _is_directory(source):
        copy(Tree(source, ""), tree)
        return
    with open_tar(source) as members:
        os.mkdir(tree.rootfs, 0o755)
        if not _fill(members, tree):
            raise ArchiveError("cannot read the archive", source, "it holds no files")


def copy(source: Tree, tree: Tree) -> None:
    """Fills a new tree from another one, with what is remembered of it."""
    os.mkdir(tree.rootfs, 0o755)
    copy_into(source, tree)


def copy_into(source: Tree, tree: Tree) -> None:
    """As copy(), into a directory that is there, and empty."""
    from udockpy.layer.tree_reader import open_tree

    with open_tree(source.rootfs, source.fakedb) as reader:
        _fill(reader.members(), tree)


def _fill(members: Iterable[Member], tree: Tree) -> int:
    from udockpy.layer.tree_writer import write_tree

    return write_tree(members, tree.rootfs, tree.fakedb)


def _is_directory(source: str) -> bool:
    try:
        mode = os.stat(source).st_mode
    except OSError as e:
        raise TargetError("cannot read", source, reason_of(e)) from e
    if stat.S_ISDIR(mode):
        check_rootfs(source)
        return True
    return False
