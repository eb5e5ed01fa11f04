"""sandbox: what is remembered of a directory, made fit to travel with it, and found again."""

from __future__ import annotations

import contextlib
import os

from udockpy import home as homes
from udockpy.errors import StateError, TargetError
from udockpy.layer import sealing
from udockpy.layer.fakedb import Fakedb
from udockpy.store import claim, sandboxes
from udockpy.store.tree import Tree, check_rootfs
from udockpy.util import atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from udockpy.home import Home
    from udockpy.layer.sealing import Count, Source

LIST = "owners"


def seal(directory: str, environ: Mapping[str, str]) -> Count:
    """Writes what is remembered of a sandbox's files to the files themselves, and a list of it."""
    from udockpy.layer.seal import list_lines

    check_rootfs(directory)
    home = homes.find(environ)
    folder = sandboxes.remember(home, directory)
    tree = sandboxes.tree_of(home, directory)
    with claim.alone(folder, directory), Fakedb(tree.fakedb, create=True) as fakedb:
        entries, count = sealing.write(directory, fakedb)
        atomic.write(list_of(tree.fakedb), "".join(list_lines(entries)).encode())
    return count


def rescan(directory: str, original: str | None, environ: Mapping[str, str]) -> Count:
    """Finds what is remembered of a sandbox's files again after a copy or a move, which gave them
    other inode numbers: by their seals, or by their paths in the original.
    """
    check_rootfs(directory)
    home = homes.find(environ)
    folder = sandboxes.remember(home, directory)
    tree = sandboxes.tree_of(home, directory)
    with claim.alone(folder, directory), _original(home, original or directory) as source:
        return rebuild(tree, source)


def rebuild(tree: Tree, source: Source) -> Count:
    """Replaces a tree's fakedb by a new one that knows the files that are there now."""
    with contextlib.ExitStack() as stack:
        known = os.path.exists(tree.fakedb)
        old = stack.enter_context(Fakedb(tree.fakedb, read_only=True)) if known else None
        fresh = stack.enter_context(replaced(tree.fakedb))
        return sealing.read(tree.rootfs, old, fresh, source)


def compact(path: str) -> None:
    """Replaces the database at `path` by one of what is sound in it, without superseded changes."""
    with replaced(path) as fresh, Fakedb(path, read_only=True) as old:
        old.salvage_into(fresh)


@contextlib.contextmanager
def replaced(path: str) -> Iterator[Fakedb]:
    """Yields a new database that takes the place of the one at `path` when the block succeeds."""
    scratch = atomic.scratch_name(path)
    try:
        with Fakedb(scratch, create=True) as fresh:
            yield fresh
        os.rename(scratch, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(scratch)
        raise


def list_of(fakedb: str) -> str:
    """The list of owners that is kept with a fakedb."""
    return os.path.join(os.path.dirname(fakedb), LIST)


@contextlib.contextmanager
def _original(home: Home, directory: str) -> Iterator[Source]:
    """What is remembered of a sandbox by path: its files where they still are, else its list."""
    if os.path.isdir(directory):
        tree = sandboxes.tree_of(home, directory)
        if os.path.exists(tree.fakedb):
            with Fakedb(tree.fakedb, read_only=True) as fakedb:
                yield sealing.from_tree(directory, fakedb)
            return
        yield _list(list_of(tree.fakedb))
        return
    folder = sandboxes.folder_at(home, directory)
    if folder is None:
        hint = "see udockpy sandbox seal, which makes a sandbox fit to be copied"
        raise TargetError("cannot find", directory, "nothing is remembered of it", hint=hint)
    yield _list(os.path.join(folder, LIST))


def _list(path: str) -> Source:
    try:
        return sealing.from_list(path)
    except ValueError as e:
        raise StateError("cannot read", path, str(e)) from e
