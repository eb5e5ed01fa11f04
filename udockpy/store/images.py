"""Images: pulled ones, which are in the OCI layout with their trees beside it, and imported ones,
which are trees only. Trees are never changed.
"""

from __future__ import annotations

import os
from typing import Callable, NamedTuple

from udockpy import home as homes
from udockpy.errors import BusyError, TargetError, UsageError
from udockpy.home import Home
from udockpy.store import containers, names
from udockpy.store.tree import Tree, tree_in
from udockpy.util import atomic, lock, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.oci.image import Descriptor, ImageConfig
    from udockpy.store.layout import Layout

CHAIN = "org.udockpy.chain"  # annotation: the chain id, by which the tree is found


class Image(NamedTuple):
    """An image of the store."""

    name: str
    folder: str
    entry: Descriptor | None = None  # of a pulled image: its place in the layout's index

    @property
    def tree(self) -> Tree:
        return tree_in(self.folder)


def layout(home: Home) -> Layout:
    """The layout that holds what was pulled."""
    from udockpy.store.layout import Layout

    return Layout(home.images)


def find(home: Home, name: str) -> Image | None:
    """The image of that name; an imported one may have any, a pulled one is named by any spelling
    of its reference.
    """
    folder = os.path.join(home.imported, name)
    if names.VALID.fullmatch(name) and os.path.isdir(folder):
        return Image(name, folder)
    if not os.path.exists(os.path.join(home.images, "index.json")):
        return None
    from udockpy.oci import reference as references

    try:
        reference = references.parse(name)
    except UsageError:
        return None
    entry = layout(home).find(reference.name)
    return None if entry is None else of_entry(home, entry)


def listing(home: Home) -> list[Image]:
    """All images by name."""
    try:
        found = sorted(os.listdir(home.imported))
    except FileNotFoundError:
        found = []
    imported = [
        Image(name, os.path.join(home.imported, name)) for name in found if not name.startswith(".")
    ]
    pulled = [of_entry(home, entry) for entry in layout(home).entries()]
    return sorted((*imported, *pulled), key=lambda image: image.name)


def add(home: Home, name: str, fill: Callable[[Tree], None]) -> Image:
    """Makes an image, with the tree that `fill` makes. It appears when that is complete."""
    names.check(name)
    _refuse_taken(home, name)
    folder = os.path.join(homes.make(home.imported), name)
    with atomic.new_directory(folder) as scratch:
        fill(tree_in(scratch))
    return Image(name, folder)


def of_entry(home: Home, entry: Descriptor) -> Image:
    """The image of an entry in the layout's index."""
    chain = dict(entry.annotations).get(CHAIN, "")
    return Image(entry.ref_name or entry.digest, tree_folder(home, chain), entry)


def tree_folder(home: Home, chain: str) -> str:
    """Where the tree of the layers with that chain id is."""
    return os.path.join(home.trees, os.path.basename(chain.partition(":")[2]) or "none")


def named(manifest: Descriptor, name: str, config: ImageConfig) -> Descriptor:
    """The entry for the index of an image of that name."""
    from udockpy.oci import image as documents

    chain = documents.chain_id(config.diff_ids)
    notes = ((documents.REF_NAME, name), (CHAIN, chain))
    return manifest._replace(platform=config.platform, annotations=notes)


def enter(home: Home, entry: Descriptor) -> Image:
    """Puts an image into the index, in the place of one of the same name."""
    with lock.exclusive(lock_file(home, "index")):
        known = layout(home).entries()
        others = [other for other in known if other.ref_name != entry.ref_name]
        layout(home).write_index((*others, entry))
    return of_entry(home, entry)


def remove(home: Home, name: str) -> None:
    """Removes an image; containers made from it stay."""
    image = find(home, name)
    if image is None:
        raise TargetError("cannot remove", name, "no such image")
    if image.entry is None:
        tree.discard(image.folder)
        return
    with lock.exclusive(lock_file(home, "index")):
        known = layout(home).entries()
        layout(home).write_index(entry for entry in known if entry != image.entry)
    collect(home)


def in_use(home: Home) -> tuple[Descriptor, ...]:
    """The images that something needs: those of the index, and those of containers."""
    from udockpy.oci.image import Descriptor

    store = layout(home)
    below = [Descriptor("", digest, 0) for digest in containers.manifests(home)]
    return (*store.entries(), *(entry for entry in below if store.has(entry.digest)))


def collect(home: Home) -> None:
    """Removes blobs, trees and halves of downloads that no image needs. While something is pulled
    nothing is removed: the next collection will.
    """
    with lock.exclusive_if_free(lock_file(home, "store")) as free:
        if not free:
            return
        store = layout(home)
        used = in_use(home)
        for digest in store.digests() - store.reachable(used):
            os.unlink(store.blob(digest))
        store.sweep()
        kept = {os.path.basename(tree_folder(home, _chain(store, entry))) for entry in used}
        for name in _listdir(home.trees):
            if name not in kept:
                tree.discard(os.path.join(home.trees, name))
        tree.remove(home.downloads)
        for name in _listdir(home.locks):
            if name.startswith("tree-"):
                os.unlink(os.path.join(home.locks, name))


def lock_file(home: Home, name: str) -> str:
    """The lock `store` is shared by all who add to the store; `index` is for its index alone."""
    return os.path.join(homes.make(home.locks), name)


def _chain(store: Layout, entry: Descriptor) -> str:
    from udockpy.oci import image as documents

    noted = dict(entry.annotations).get(CHAIN, "")
    return noted or documents.chain_id(store.config(entry).diff_ids)


def _listdir(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def _refuse_taken(home: Home, name: str) -> None:
    if find(home, name):
        raise BusyError(
            "cannot import", name, "the name is taken", hint=f"remove it first: udockpy rmi {name}"
        )
