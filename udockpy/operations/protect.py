"""protect and unprotect: keep an image or a container from being removed."""

from __future__ import annotations

from udockpy import home as homes
from udockpy.errors import TargetError
from udockpy.store import containers, images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def protect(name: str, environ: Mapping[str, str], *, on: bool) -> None:
    """Protects a container or an image, or ends that."""
    home = homes.find(environ)
    container = containers.find(home, name)
    if container is not None:
        containers.protect(home, container, on=on)
        return
    image = images.find(home, name)
    if image is None:
        hint = "see udockpy images and udockpy ps -a"
        raise TargetError("cannot protect", name, "no such container or image", hint=hint)
    images.protect(home, image, on=on)
