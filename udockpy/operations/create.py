"""create: make a container."""

from __future__ import annotations

from functools import partial
from typing import Callable

from udockpy import home as homes
from udockpy.operations import says, trees, volumes, wanted
from udockpy.store import containers, images, targets
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
    """Makes a container that shares its image's files, or a copy of a sandbox or a container."""
    home = homes.find(environ)
    return container_of(home, wanted.target(home, source, environ, platform=platform), name)


def container_of(home: Home, target: Target, name: str | None, *, image: str = "") -> Container:
    """A new container of a target that is there, which it remembers as `image` if that is given."""
    make = trees.share if target.kind == targets.IMAGE else trees.copy
    fill = partial(_fill, make, target.tree, says.of(home, target).volumes)
    return _create(home, target, name, fill, image=image or target.name)


def may_layer(home: Home, image: Target) -> bool:
    """Whether a container may lie over an image, as far as that is known without trying."""
    from udockpy.store import filesystem

    named = says.of(home, image).volumes
    return image.tree.shared and not named and filesystem.holds_upper(image.state)


def layer_of(home: Home, image: Target, name: str | None) -> Container:
    """A new container that lies over its image's tree, for one run."""
    fill = partial(trees.lay, image.state, image.tree)
    return _create(home, image, name, fill, image=image.name)


def _create(
    home: Home, target: Target, name: str | None, fill: Callable[[Tree], None], *, image: str
) -> Container:
    with lock.shared(images.lock_file(home, "store")):  # what it is made from must stay
        return containers.create(
            home,
            fill,
            image=image,
            name=name,
            config=says.document(home, target),
            manifest=says.manifest(home, target),
        )


def _fill(
    make: Callable[[Tree, Tree], None], source: Tree, named: tuple[str, ...], tree: Tree
) -> None:
    make(source, tree)
    volumes.make(tree, named)
