"""manifest inspect: what a registry, or a file, has for a reference."""

from __future__ import annotations

import json
from typing import Any

from udockpy.errors import ImageError
from udockpy.oci import reference as references
from udockpy.operations.pull import PullOptions, open_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def inspect(word: str, options: PullOptions, environ: Mapping[str, str]) -> dict[str, Any]:
    """The manifest, or the index of manifests, as it is there. Nothing is kept."""
    reference = references.parse(word)
    with open_source(reference, options, environ) as source:
        content, _ = source.manifest("")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as e:
        raise ImageError("cannot read the image", reference.name, "not JSON") from e
    if not isinstance(document, dict):
        raise ImageError("cannot read the image", reference.name, "an object is missing")
    return document
