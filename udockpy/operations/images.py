"""images and rmi: list and remove images."""

from __future__ import annotations

from udockpy import home as homes
from udockpy.store import images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.store.images import Image


def listing(environ: Mapping[str, str]) -> list[Image]:
    """All images by name."""
    return images.listing(homes.find(environ))


def remove(name: str, environ: Mapping[str, str], *, force: bool) -> None:
    """Removes an image that nothing runs in, or, with force, any."""
    from udockpy.operations import containers

    home = homes.find(environ)
    if not force:
        containers.refuse_running(home, name)
    images.remove(home, name)
