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

# Annotations of ours in the index.
CHAIN = "org.udockpy.chain"  # the chain id, by which the tree is found
SOURCE = "org.udockpy.source"  # the registry's name for it, of one that came from there
PROTECTED = "org.udockpy.protected"


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

    return Layout(home.images, home.site.images if home.site else "")


def find(home: Home, name: str) -> Image | None:
    """The image of that name; an imported one may have any, a pulled one is named by any spelling
    of its reference.
    """
    for folder in _imported_in(home):
        if names.VALID.fullmatch(name) and os.path.isdir(os.path.join(folder, name)):
            return Image(name, os.path.join(folder, name))
    stores = filter(None, (home, home.site))
    if not any(os.path.exists(os.path.join(store.images, "index.json")) for store in stores):
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
    imported: dict[str, Image] = {}
    for folder in _imported_in(home):
        found = (name for name in _listdir(folder) if not name.startswith("."))
        for name in found:
            imported.setdefault(name, Image(name, os.path.join(folder, name)))
    pulled = [of_entry(home, entry) for entry in layout(home).entries()]
    return sorted((*imported.values(), *pulled), key=lambda image: image.name)


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
    """Where the tree of the layers with that chain id is, or is to be."""
    name = os.path.basename(chain.partition(":")[2]) or "none"
    own = os.path.join(home.trees, name)
    if home.site and not os.path.isdir(own):
        theirs = os.path.join(home.site.trees, name)
        if os.access(os.path.join(theirs, "fakedb"), os.R_OK):
            return theirs
    return own


def is_of_site(home: Home, image: Image) -> bool:
    """Whether an image is the site's: nobody changes or removes it from here."""
    if image.entry is not None:
        return image.entry not in layout(home).own_entries()
    return not image.folder.startswith(os.path.join(home.imported, ""))


def named(manifest: Descriptor, name: str, config: ImageConfig, *, source: str = "") -> Descriptor:
    """The entry for the index of an image of that name."""
    from udockpy.oci import image as documents

    chain = documents.chain_id(config.diff_ids)
    notes = ((documents.REF_NAME, name), (CHAIN, chain))
    entry = manifest._replace(platform=config.platform, annotations=notes)
    return _annotated(entry, SOURCE, source)


def source(entry: Descriptor) -> str:
    """What a registry calls an image that came from there; empty for any other."""
    return dict(entry.annotations).get(SOURCE, "")


def tree_of(home: Home, entry: Descriptor) -> str:
    """Where the tree of an entry is, also of one that another tool made."""
    from udockpy.oci import image as documents

    chain = dict(entry.annotations).get(CHAIN, "")
    return tree_folder(home, chain or documents.chain_id(layout(home).config(entry).diff_ids))


def enter(home: Home, entry: Descriptor) -> Image:
    """Puts an image into the index, in the place of one of the same name."""
    with lock.exclusive(lock_file(home, "index")):
        known = layout(home).own_entries()
        before = next((other for other in known if other.ref_name == entry.ref_name), None)
        if before is not None and is_protected(of_entry(home, before)):
            if before.digest != entry.digest:
                raise _protected("cannot replace", before.ref_name)
            entry = _annotated(entry, PROTECTED, "yes")
        layout(home).write_index((*(other for other in known if other != before), entry))
    return of_entry(home, entry)


def protect(home: Home, image: Image, *, on: bool) -> None:
    """Keeps an image from being removed or replaced, or no more."""
    _refuse_of_site("cannot protect", home, image)
    mark = os.path.join(image.folder, "protected")
    if image.entry is None and on:
        atomic.write_if_changed(mark, b"")
    elif image.entry is None:
        tree.remove(mark)
    else:
        changed = _annotated(image.entry, PROTECTED, "yes" if on else "")
        with lock.exclusive(lock_file(home, "index")):
            known = layout(home).own_entries()
            layout(home).write_index(changed if entry == image.entry else entry for entry in known)


def is_protected(image: Image) -> bool:
    """Whether an image is kept from being removed."""
    if image.entry is None:
        return os.path.exists(os.path.join(image.folder, "protected"))
    return bool(dict(image.entry.annotations).get(PROTECTED))


def remove(home: Home, name: str) -> None:
    """Removes the name of a pulled image, and all of an imported one; containers made from it
    stay.
    """
    image = find(home, name)
    if image is None:
        raise TargetError("cannot remove", name, "no such image")
    _refuse_of_site("cannot remove", home, image)
    if is_protected(image):
        raise _protected("cannot remove", name)
    if image.entry is None:
        if os.path.realpath(image.folder) in containers.lowers(home):
            hint = "see udockpy ps -a, and remove it with udockpy rm"
            raise BusyError("cannot remove", name, "a container lies over it", hint=hint)
        tree.discard(image.folder)
        return
    with lock.exclusive(lock_file(home, "index")):
        known = layout(home).own_entries()
        layout(home).write_index(entry for entry in known if entry != image.entry)


def in_use(home: Home) -> tuple[Descriptor, ...]:
    """The images that something needs: those of the index, and those of containers."""
    from udockpy.oci.image import Descriptor

    store = layout(home)
    below = [Descriptor("", digest, 0) for digest in containers.manifests(home)]
    return (*store.own_entries(), *(entry for entry in below if store.has(entry.digest)))


def lock_file(home: Home, name: str) -> str:
    """The lock `store` is shared by all who add to the store; `index` is for its index alone."""
    return os.path.join(homes.make(home.locks), name)


def _annotated(entry: Descriptor, key: str, value: str) -> Descriptor:
    """The entry with an annotation, or without it where the value is empty."""
    notes = tuple((known, text) for known, text in entry.annotations if known != key)
    return entry._replace(annotations=(*notes, *(((key, value),) if value else ())))


def _refuse_of_site(what: str, home: Home, image: Image) -> None:
    if is_of_site(home, image):
        raise BusyError(what, image.name, f"it is in the site's store, {home.site_path}")


def _imported_in(home: Home) -> list[str]:
    """Where imported images are: one's own beat the site's."""
    return [home.imported, *([home.site.imported] if home.site else [])]


def _listdir(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def _protected(what: str, name: str) -> BusyError:
    return BusyError(what, name, "it is protected", hint=f"udockpy unprotect {name}")


def _refuse_taken(home: Home, name: str) -> None:
    if find(home, name):
        raise BusyError(
            "cannot import", name, "the name is taken", hint=f"remove it first: udockpy rmi {name}"
        )
