"""import: make an image from an archive or a directory."""

from __future__ import annotations

from functools import partial

from udockpy import home as homes
from udockpy.operations import trees
from udockpy.store import images
from udockpy.util import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.store.images import Image
    from udockpy.store.tree import Tree


def import_(source: str, name: str, environ: Mapping[str, str]) -> Image:
    """Unpacks a tar archive ("-": standard input) or copies a directory."""
    home = homes.find(environ)
    with lock.shared(images.lock_file(home, "store")):
        return images.add(home, name, partial(_fill, source))


def _fill(source: str, tree: Tree) -> None:
    trees.unpack(source, tree)
    trees.mark(tree)
