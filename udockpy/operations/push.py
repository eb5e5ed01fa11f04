"""push: give an image of the store to a registry, as it is."""

from __future__ import annotations

from udockpy import home as homes
from udockpy.errors import UsageError
from udockpy.oci import digest as digests
from udockpy.oci import reference as references
from udockpy.oci.reference import Remote
from udockpy.operations.images import layered
from udockpy.operations.pull import PullOptions, connect
from udockpy.store import images
from udockpy.util import lock
from udockpy.util.process import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.oci.image import Descriptor


def push(name: str, target: str, options: PullOptions, environ: Mapping[str, str]) -> str:
    """Uploads what the registry does not have, and returns the full name of what it has now."""
    home = homes.find(environ)
    image, entry = layered(home, name, "cannot push")
    reference = references.parse(target or image.name)
    if not isinstance(reference, Remote):
        raise UsageError("cannot push", target, "not a reference of a registry")
    known = references.parse_remote(image.name)
    source = known.repository if known.host == reference.host else ""
    registry = connect(reference.host, reference.repository, options, environ)
    layout = images.layout(home)
    with lock.shared(images.lock_file(home, "store")):
        manifest = layout.manifest(entry)

        def bring(blob: Descriptor) -> str:
            if registry.has(reference.repository, blob):
                return "is there"
            other = source if source != reference.repository else ""
            with open(layout.blob(blob.digest), "rb") as file:
                pushed = registry.push(reference.repository, blob, file, other)
            return "pushed" if pushed else f"taken from {other}"

        for blob in (*manifest.layers, manifest.config):
            what = bring(blob)
            if not options.quiet:
                say(f"{digests.short(blob.digest)}: {what}")
        content = layout.content(entry, image.name)
    registry.push_manifest(reference, content, entry.media_type)
    return reference.name
