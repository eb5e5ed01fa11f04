"""tag and history: further names of an image, and how it came about."""

from __future__ import annotations

import json
from typing import NamedTuple

from udockpy import home as homes
from udockpy.oci import image as documents
from udockpy.operations import making
from udockpy.operations.images import layered
from udockpy.store import images
from udockpy.util import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.store.images import Image


class Row(NamedTuple):
    """One step of an image's history."""

    created: str
    created_by: str
    size: int  # bytes of its layer, compressed; 0 without one
    comment: str


def tag(word: str, name: str, environ: Mapping[str, str]) -> Image:
    """Gives an image one more name."""
    home = homes.find(environ)
    with lock.shared(images.lock_file(home, "store")):
        _, entry = layered(home, word, "cannot tag")
        full = making.check_name(home, name)
        config, source = images.layout(home).config(entry), images.source(entry)
        return images.enter(home, images.named(entry, full, config, source=source))


def history(word: str, environ: Mapping[str, str]) -> list[Row]:
    """The steps that made an image, the last one first."""
    home = homes.find(environ)
    image, entry = layered(home, word, "cannot tell the history of")
    layout = images.layout(home)
    manifest = layout.manifest(entry)
    document = json.loads(layout.content(manifest.config, image.name))
    layers = iter(manifest.layers)
    rows = []
    for step in documents.history(document, image.name):
        layer = None if step.empty_layer else next(layers, None)
        rows.append(Row(step.created, step.created_by, layer.size if layer else 0, step.comment))
    rows += [Row("", "", layer.size, "(a layer without history)") for layer in layers]
    return rows[::-1]
