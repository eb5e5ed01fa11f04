"""images and rmi: list and remove images."""

from __future__ import annotations

from udockpy import home as homes
from udockpy.errors import TargetError
from udockpy.store import garbage, images
from udockpy.util import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.home import Home
    from udockpy.oci.image import Descriptor
    from udockpy.store.images import Image


def listing(environ: Mapping[str, str]) -> list[Image]:
    """All images by name."""
    return images.listing(homes.find(environ))


def size(image: Image, environ: Mapping[str, str]) -> int:
    """The bytes of a pulled image's blobs; another image may share them."""
    assert image.entry is not None
    manifest = images.layout(homes.find(environ)).manifest(image.entry)
    parts = (image.entry, manifest.config, *manifest.layers)
    return sum(part.size for part in parts)


def remove(name: str, environ: Mapping[str, str], *, force: bool) -> None:
    """Removes an image that nothing runs in, or, with force, any."""
    from udockpy.operations import containers

    home = homes.find(environ)
    image = images.find(home, name)
    if image is not None and not force:
        containers.refuse_running(home, image.name)
    with lock.shared(images.lock_file(home, "store")):
        images.remove(home, name)
    garbage.collect(home)


def layered(home: Home, name: str, what: str) -> tuple[Image, Descriptor]:
    """The image of that name, which must have layers, and its entry; `what` is what cannot be done
    without.
    """
    image = images.find(home, name)
    if image is None or image.entry is None:
        reason = "no such image" if image is None else "an imported image has no layers"
        raise TargetError(what, name, reason, hint="see udockpy images")
    return image, image.entry
