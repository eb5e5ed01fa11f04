"""create: make a container."""

from __future__ import annotations

from functools import partial

from udockpy import home as homes
from udockpy.operations import says, trees, wanted
from udockpy.store import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.store.containers import Container


def create(source: str, name: str | None, environ: Mapping[str, str]) -> Container:
    """Copies an image, a sandbox or another container into a new container."""
    home = homes.find(environ)
    target = wanted.target(home, source, environ)
    fill = partial(trees.copy, target.tree)
    config = says.document(home, target)
    return containers.create(home, fill, image=target.name, name=name, config=config)
