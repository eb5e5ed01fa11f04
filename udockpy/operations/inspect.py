"""inspect: what images, containers, sandboxes and image files say of themselves."""

from __future__ import annotations

import json
from typing import Any

from udockpy import home as homes
from udockpy.container import metadata
from udockpy.operations import says, wanted
from udockpy.store import images, targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.home import Home
    from udockpy.store.targets import Target


def inspect(word: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """All of it, for JSON. Nothing is pulled for it."""
    home = homes.find(environ)
    target = wanted.present(home, word, environ)
    made: dict[str, Any] = {"name": target.name, "kind": target.kind, "rootfs": target.tree.rootfs}
    image = images.find(home, word) if target.kind == targets.IMAGE else None
    if image is not None and image.entry is not None:
        manifest = images.layout(home).content(image.entry, image.name)
        made.update(digest=image.entry.digest, manifest=json.loads(manifest))
    config = says.document(home, target)
    if config is not None:
        made["config"] = json.loads(config)
    found = metadata.read(target.tree.rootfs).document()
    if any(found.values()):
        made["singularity"] = found
    return made


def described(home: Home, target: Target) -> metadata.Metadata:
    """What a target says as Singularity has it: an OCI image has labels only."""
    found = metadata.read(target.tree.rootfs)
    config = says.document(home, target)
    if found.labels or config is None:
        return found
    from udockpy.oci import image as documents

    return found._replace(labels=dict(documents.config(config, target.name).labels))
