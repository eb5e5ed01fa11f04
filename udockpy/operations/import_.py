"""import: make an image from an archive or a directory."""

from __future__ import annotations

from functools import partial

from udockpy import home as homes
from udockpy.operations import trees
from udockpy.store import images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.store.images import Image


def import_(source: str, name: str, environ: Mapping[str, str]) -> Image:
    """Unpacks a tar archive ("-": standard input) or copies a directory."""
    return images.add(homes.find(environ), name, partial(trees.unpack, source))
