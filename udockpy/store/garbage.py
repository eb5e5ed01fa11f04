"""What nothing needs any more: found, measured and removed.

Who adds to the state directory shares the lock `store` meanwhile. The collector holds it alone, so
nothing that somebody is still making is taken for what a kill left behind.
"""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from udockpy.home import Home
from udockpy.store import containers, files, images, running
from udockpy.util import lock, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Garbage(NamedTuple):
    """A file or directory that can go."""

    kind: str
    path: str
    size: int  # bytes that are free then


def collect(home: Home, *, caches: bool = False, dry: bool = False) -> list[Garbage] | None:
    """Removes, unless it is `dry`, what can go, and returns it; None while somebody adds to the
    store. With `caches` this is also what could be made again from what stays.
    """
    with lock.exclusive_if_free(images.lock_file(home, "store")) as free:
        if not free:
            return None
        found = [
            Garbage(kind, path, tree.size(path)) for kind, path in _candidates(home, caches=caches)
        ]
        for garbage in found if not dry else ():
            tree.discard(garbage.path)
        if not dry:
            _forget(home)
        return found


def _candidates(home: Home, *, caches: bool) -> Iterator[tuple[str, str]]:
    yield from (("half made", path) for path in _halves(home))
    yield from (("download", path) for path in _paths(home.downloads) if not _is_hidden(path))
    yield from (("name", path) for path in containers.stale_names(home))
    busy = {guest.target for guest in running.listing(home)}
    yield from _unneeded_images(home, busy, caches=caches)
    yield from _unneeded_files(home, busy, caches=caches)
    if caches:
        yield from (("build cache", path) for path in _paths(home.build_cache))


def _halves(home: Home) -> Iterator[str]:
    """What a killed process was about to make or to remove: its name begins with a dot."""
    blobs = os.path.join(home.images, "blobs")
    folders = (home.trees, home.imported, home.files, home.containers, home.names, home.downloads)
    for folder in (*folders, home.builds, home.images, *_paths(blobs)):
        yield from filter(_is_hidden, _paths(folder))


def _unneeded_images(home: Home, busy: set[str], *, caches: bool) -> Iterator[tuple[str, str]]:
    store = images.layout(home)
    used = images.in_use(home)
    for digest in sorted(store.digests() - store.reachable(used)):
        yield "blob", store.place(digest)
    # Containers may lie over the tree they were made from.
    kept = [entry for entry in used if not caches or not entry.ref_name or entry.ref_name in busy]
    kept += [] if caches else store.site_entries()
    names = {os.path.basename(images.tree_of(home, entry)) for entry in kept}
    for path in _paths(home.trees):
        if os.path.basename(path) not in names and not _is_hidden(path):
            yield "tree", path


def _unneeded_files(home: Home, busy: set[str], *, caches: bool) -> Iterator[tuple[str, str]]:
    """Trees of images in single files that are gone, or have changed."""
    needed = containers.lowers(home)
    for link in filter(os.path.islink, _paths(home.files)):
        source = files.source(link)
        if source in busy or (files.is_current(link) and not caches):
            needed.add(os.path.realpath(link))
        else:
            yield "name", link
    for path in _paths(home.files):
        link = files.noted(path)
        if link and (not os.path.lexists(link) or os.path.realpath(link) not in needed):
            yield "name", path
    for path in filter(os.path.isdir, _paths(home.files)):
        if (
            not os.path.islink(path)
            and not _is_hidden(path)
            and os.path.realpath(path) not in needed
        ):
            yield "tree", path


def _forget(home: Home) -> None:
    """Removes what is left empty, and locks that nobody can hold now."""
    with contextlib.suppress(OSError):
        os.rmdir(home.downloads)
    for path in _paths(home.locks):
        if os.path.basename(path).startswith("tree-"):
            os.unlink(path)


def _paths(folder: str) -> list[str]:
    try:
        return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    except FileNotFoundError:
        return []


def _is_hidden(path: str) -> bool:
    return os.path.basename(path).startswith(".")
