"""Copying files into a root filesystem that is being built: from the host, and from another root
filesystem with what is remembered of it.
"""

from __future__ import annotations

import contextlib
import fnmatch
import io
import os
import re
import stat

from udockpy.layer.member import Kind, Member
from udockpy.layer.tree_reader import open_tree
from udockpy.util.beneath import Root, components
from udockpy.util.tree import DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from udockpy.store.tree import Tree

WILDCARD = re.compile(r"[*?\[]")


def moved(members: Iterable[Member], target: str) -> Iterator[Member]:
    """Members that were relative to a directory or a file, relative to the root: the first one, the
    directory or file itself, becomes `target`.
    """
    for member in members:
        name = _below(target, member.name)
        link = _below(target, member.link) if member.kind is Kind.HARDLINK else member.link
        yield member._replace(name=name, link=link)


def _below(target: str, name: str) -> str:
    return "/".join(filter(None, (target, name)))


@contextlib.contextmanager
def of_tree(tree: Tree, path: str, *, links: bool = True) -> Iterator[Iterator[Member]]:
    """Yields the members of what a guest of `tree` finds at `path`, links to it followed. Without
    `links` every name of a file is a file of its own.
    """
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(Root(tree.rootfs))
        parent, name = root.locate(path, follow=True)
        stack.callback(os.close, parent)
        place = f"/proc/self/fd/{parent}/{name}"
        reader = stack.enter_context(open_tree(place, tree.fakedb))
        if stat.S_ISDIR(os.lstat(place).st_mode):
            yield reader.members() if links else reader.names()
        else:
            yield iter([reader.member(parent, name)])


def of_host(path: str) -> Iterator[Member]:
    """The members of a file or directory of the host, with links followed, as `cp -rL` has it; all
    become root's. What cannot be copied (a socket, a device) is left out.
    """
    yield from _followed(path, "", ())


def _followed(path: str, name: str, above: tuple[tuple[int, int], ...]) -> Iterator[Member]:
    found = os.stat(path)
    kind = Kind(stat.S_IFMT(found.st_mode)) if not stat.S_ISSOCK(found.st_mode) else None
    if kind not in (Kind.FILE, Kind.DIRECTORY):
        return
    inode = (found.st_dev, found.st_ino)
    if inode in above:
        return  # a link to a directory that it is in
    yield Member(
        name,
        kind,
        mode=stat.S_IMODE(found.st_mode) & 0o777,
        mtime_ns=found.st_mtime_ns,
        size=found.st_size if kind is Kind.FILE else 0,
        content=(lambda: io.FileIO(path)) if kind is Kind.FILE else None,
    )
    if kind is Kind.DIRECTORY:
        for entry in sorted(os.listdir(path)):
            inner = os.path.join(path, entry)
            if os.path.exists(inner):  # a link that leads nowhere is nothing to copy
                yield from _followed(inner, _below(name, entry), (*above, inode))


def matches(tree: Tree, pattern: str, *, hidden: bool = False) -> list[str]:
    """The guest paths that a pattern with wildcards names, sorted; without wildcards the path
    itself, if it is there. As in a shell, * does not match a leading dot, but with `hidden`.
    """
    found = ["/"]
    with Root(tree.rootfs) as root:
        for part in components(pattern):
            found = [path for folder in found for path in _step(root, folder, part, hidden)]
    return found


def _step(root: Root, folder: str, part: str, hidden: bool) -> list[str]:
    names = [part] if not WILDCARD.search(part) else _matching(root, folder, part, hidden)
    paths = [os.path.join(folder, name) for name in names]
    return [path for path in paths if _is_there(root, path)]


def _matching(root: Root, folder: str, part: str, hidden: bool) -> list[str]:
    try:
        fd = root.open(folder, DIRECTORY)
    except OSError:
        return []
    try:
        names = sorted(os.listdir(fd))
    finally:
        os.close(fd)
    if not (hidden or part.startswith(".")):
        names = [name for name in names if not name.startswith(".")]
    return [name for name in names if fnmatch.fnmatchcase(name, part)]


def _is_there(root: Root, path: str) -> bool:
    try:
        root.stat(path)
    except OSError:
        return False  # also for a link that leads nowhere
    return True
