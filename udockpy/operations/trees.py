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


def mark(tree: Tree) -> None:
    """Protects the files of an image's new tree, so that containers can share them. Where that does
    not work they are copied.
    """
    from udockpy.layer.shared import mark_tree, mark_works

    if mark_works(tree.mark):
        mark_tree(tree.rootfs, tree.fakedb)


def share(source: Tree, tree: Tree) -> None:
    """As copy(), but the files are those of the image itself, where that can be: said where not."""
    from udockpy.layer.link_tree import link_tree
    from udockpy.util.process import say

    reason = _why_not_shared(source, tree)
    if not reason:
        os.mkdir(tree.rootfs, 0o755)
        link_tree(source.rootfs, source.fakedb, tree.rootfs, tree.fakedb)
        return
    say(f"copying {source.rootfs}: {reason}")
    copy(source, tree)


def lay(folder: str, source: Tree, tree: Tree) -> None:
    """Makes the layer over an image's tree, in `folder` of the store, that a container is."""
    from udockpy.layer.link_tree import lay_over

    own = os.path.dirname(tree.rootfs)
    for name in ("upper", "work"):
        os.mkdir(os.path.join(own, name), 0o755)
    os.symlink(folder, os.path.join(own, "lower"))
    lay_over(source.rootfs, source.fakedb, os.path.join(own, "upper"), tree.fakedb)


def part(tree: Tree) -> None:
    """Gives a container its own copies of all that it shares."""
    from udockpy.layer.link_tree import part_tree

    part_tree(tree.rootfs, tree.fakedb)
    os.unlink(tree.mark)


def _why_not_shared(source: Tree, tree: Tree) -> str:
    """Why the files of an image cannot be shared; empty where they can: then `tree` is marked."""
    if not source.shared:
        return "its files are not protected from writing"
    if os.access(source.mark, os.W_OK):
        return "nothing protects its files from root"
    try:
        os.link(source.mark, tree.mark)
    except OSError as e:
        return f"no hard links can be made to it ({reason_of(e)})"
    return ""


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
