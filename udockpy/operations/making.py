"""Makes images: layers of what changed in a tree, and an image of such layers."""

from __future__ import annotations

import os
import time

from udockpy import home as homes
from udockpy.errors import BusyError, UsageError
from udockpy.oci import digest as digests
from udockpy.oci import image as documents
from udockpy.oci import making, media
from udockpy.oci import reference as references
from udockpy.oci.image import Descriptor
from udockpy.operations import volumes
from udockpy.store import images
from udockpy.util import atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from udockpy.home import Home
    from udockpy.layer.diff import Change
    from udockpy.layer.member import Member
    from udockpy.layer.pack import Packed
    from udockpy.store.images import Image
    from udockpy.store.tree import Tree


def changes(lower: Tree | None, upper: Tree, *, without: Sequence[str] = ()) -> list[Change]:
    """What makes `upper` of `lower` (of nothing, without one), but for what the volumes `without`
    hold.
    """
    from contextlib import ExitStack

    from udockpy.layer.diff import compare
    from udockpy.layer.tree_reader import open_tree

    with ExitStack() as stack:
        below = stack.enter_context(open_tree(lower.rootfs, lower.fakedb)).names() if lower else ()
        above = stack.enter_context(open_tree(upper.rootfs, upper.fakedb)).names()
        return compare(volumes.outside(below, without), volumes.outside(above, without))


def add_layer(
    home: Home,
    lower: Tree | None,
    upper: Tree,
    *,
    newest: int | None = None,
    without: Sequence[str] = (),
) -> Packed | None:
    """Puts the layer that makes `upper` of `lower` into the store; None where that is nothing.
    Times of files are `newest` at most, in seconds since 1970; what the volumes `without` hold is
    no part of it.

    The caller shares the lock of the store until an image has the layer.
    """
    from udockpy.layer.diff import layer
    from udockpy.layer.tree_reader import open_tree

    found = changes(lower, upper, without=without)
    if not found:
        return None
    with open_tree(upper.rootfs, upper.fakedb) as reader:
        return put_layer(home, layer(reader.names(), found, newest=newest))


def put_layer(home: Home, members: Iterable[Member]) -> Packed:
    """As add_layer(), of the members of a layer."""
    from udockpy.layer.pack import pack

    layout = images.layout(home)
    layout.make()
    scratch = atomic.scratch_name(os.path.join(homes.make(home.downloads), "layer"))
    try:
        with open(scratch, "xb") as file:
            packed = pack(members, file)
        os.rename(scratch, layout.place(packed.digest))
    except BaseException:
        if os.path.exists(scratch):
            os.unlink(scratch)
        raise
    return packed


def describe(packed: Packed) -> Descriptor:
    """A layer of ours, as a manifest has it."""
    return Descriptor(f"{media.OCI_LAYER}+gzip", packed.digest, packed.size)


def enter(home: Home, name: str, config: making.Document, layers: Sequence[Descriptor]) -> Image:
    """Puts an image of layers that are in the store into its index, as `name`, which check_name()
    gave.
    """
    layout = images.layout(home)
    layout.make()
    raw = making.encoded(config)
    about = Descriptor(media.OCI_CONFIG, digests.of(raw), len(raw))
    content = making.manifest(about, layers)
    made = Descriptor(media.OCI_MANIFEST, digests.of(content), len(content))
    layout.put(raw, about.digest)
    layout.put(content, made.digest)
    return images.enter(home, images.named(made, name, documents.config(raw, name)))


def check_name(home: Home, word: str) -> str:
    """The full name for a new image of the layout."""
    if os.path.isdir(os.path.join(home.imported, word)):
        hint = f"remove it first: udockpy rmi {word}"
        raise BusyError("cannot name the image", word, "an imported image has the name", hint=hint)
    found = references.parse_remote(word)
    if found.digest:
        raise UsageError("cannot name the image", word, "a digest is no name that can be given")
    return found.name


def now(environ: Mapping[str, str]) -> int:
    """The time that new images are of, in seconds since 1970."""
    epoch = source_date_epoch(environ)
    return int(time.time()) if epoch is None else epoch


def source_date_epoch(environ: Mapping[str, str]) -> int | None:
    """The time that nothing reproducible may be newer than, where the environment names one."""
    text = environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not text.isdigit() or len(text) > 11:
        raise UsageError("bad SOURCE_DATE_EPOCH", text, "not a count of seconds since 1970")
    return int(text)
