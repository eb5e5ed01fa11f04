"""create: make a container."""

from __future__ import annotations

from functools import partial

from udockpy import home as homes
from udockpy.operations import says, trees, volumes, wanted
from udockpy.store import containers, images
from udockpy.util import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.home import Home
    from udockpy.store.containers import Container
    from udockpy.store.targets import Target
    from udockpy.store.tree import Tree


def create(
    source: str, name: str | None, environ: Mapping[str, str], *, platform: str = ""
) -> Container:
    """Copies an image, a sandbox or another container into a new container."""
    home = homes.find(environ)
    return container_of(home, wanted.target(home, source, environ, platform=platform), name)


def container_of(home: Home, target: Target, name: str | None, *, image: str = "") -> Container:
    """A new container of a target that is there, which it remembers as `image` if that is given."""
    with lock.shared(images.lock_file(home, "store")):  # what it is copied from must stay
        return containers.create(
            home,
            partial(_fill, target.tree, says.of(home, target).volumes),
            image=image or target.name,
            name=name,
            config=says.document(home, target),
            manifest=says.manifest(home, target),
        )


def _fill(source: Tree, named: tuple[str, ...], tree: Tree) -> None:
    trees.copy(source, tree)
    volumes.make(tree, named)
