"""commit and diff: what a container changed, told and made an image of."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from udockpy import home as homes
from udockpy.errors import TargetError
from udockpy.oci import image as documents
from udockpy.oci import making as configurations
from udockpy.oci import platform as platforms
from udockpy.oci.image import Descriptor
from udockpy.operations import making
from udockpy.operations.containers import find, refuse_running
from udockpy.operations.pull import ensure_tree
from udockpy.store import containers, images
from udockpy.util import lock
from udockpy.util.process import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.home import Home
    from udockpy.layer.diff import Change
    from udockpy.store.containers import Container
    from udockpy.store.images import Image
    from udockpy.store.tree import Tree


class Commit(NamedTuple):
    """What to make an image of, and what it is to say of itself."""

    container: str
    name: str
    changes: tuple[str, ...] = ()  # instructions of a Dockerfile
    message: str = ""
    author: str = ""


class _Base(NamedTuple):
    """What a container was made from."""

    config: configurations.Document
    layers: tuple[Descriptor, ...] = ()
    tree: Tree | None = None

    @property
    def volumes(self) -> tuple[str, ...]:
        """What of it is no part of an image; all is, where there is nothing below."""
        if self.tree is None:
            return ()
        return tuple((self.config.get("config") or {}).get("Volumes") or ())


def diff(name: str, environ: Mapping[str, str]) -> list[Change]:
    """What a container changed of its image."""
    home = homes.find(environ)
    container = find(home, name, "cannot compare")
    with lock.shared(images.lock_file(home, "store")):
        base = _base(home, container, environ)
        if base.tree is None:
            reason = "its image is not there, or has no layers"
            raise TargetError("cannot compare", name, reason, hint="see udockpy images")
        return making.changes(base.tree, container.tree, without=base.volumes)


def commit(options: Commit, environ: Mapping[str, str]) -> Image:
    """Makes an image of a container: its image's layers, and one with what it changed."""
    home = homes.find(environ)
    container = find(home, options.container, "cannot commit")
    refuse_running(home, container.id, "cannot commit")
    name = making.check_name(home, options.name)
    with lock.shared(images.lock_file(home, "store")):
        base = _base(home, container, environ)
        if base.tree is None and containers.manifest(home, container):
            say("its image is not there any more: one layer gets all of its files")
        newest = making.source_date_epoch(environ)
        packed = making.add_layer(
            home, base.tree, container.tree, newest=newest, without=base.volumes
        )
        step = configurations.Step(
            making.now(environ), "udockpy commit", options.message, options.author
        )
        config = configurations.stacked(base.config, step, packed.diff_id if packed else "")
        config = configurations.changed(config, options.changes)
        layers = (*base.layers, *([making.describe(packed)] if packed else []))
        return making.enter(home, name, config, layers)


def _base(home: Home, container: Container, environ: Mapping[str, str]) -> _Base:
    layout = images.layout(home)
    digest = containers.manifest(home, container)
    if not digest or not layout.has(digest):
        return _Base(_own_config(container))
    entry = Descriptor("", digest, 0)
    manifest, config = layout.manifest(entry), layout.config(entry)
    folder = images.tree_folder(home, documents.chain_id(config.diff_ids))
    image = images.Image(digest, folder, entry)
    ensure_tree(home, image, environ)
    document = json.loads(layout.content(manifest.config, digest))
    return _Base(document, manifest.layers, image.tree)


def _own_config(container: Container) -> configurations.Document:
    """What the image of a container said of how it is run; that lost its layers, or had none."""
    if not os.path.exists(container.image_config):
        return configurations.empty(platforms.of_machine(os.uname().machine))
    with open(container.image_config, "rb") as file:
        document: configurations.Document = json.load(file)
    return configurations.without_layers(document)
