"""images and rmi: list and remove images."""

from __future__ import annotations

from typing import Any

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


def inspect(name: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """What a pulled image says of itself: its manifest and its configuration."""
    import json

    home = homes.find(environ)
    image = images.find(home, name)
    if image is None:
        raise TargetError("cannot inspect", name, "no such image", hint="see udockpy images")
    if image.entry is None:
        return {"name": image.name, "rootfs": image.tree.rootfs}
    layout = images.layout(home)
    config = layout.content(layout.manifest(image.entry).config, image.name)
    return {
        "name": image.name,
        "digest": image.entry.digest,
        "rootfs": image.tree.rootfs,
        "manifest": json.loads(layout.content(image.entry, image.name)),
        "config": json.loads(config),
    }


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
