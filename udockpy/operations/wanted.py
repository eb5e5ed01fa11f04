"""What a TARGET of a command means, when it may have to be brought first."""

from __future__ import annotations

import os

from udockpy.errors import TargetError
from udockpy.operations import files as operations
from udockpy.store import files, images, targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.home import Home
    from udockpy.store.targets import Target


def target(home: Home, word: str, environ: Mapping[str, str]) -> Target:
    """As targets.find(); an image that is named as a reference, and is not there, is pulled."""
    if os.path.isfile(word) and files.is_image(word):
        return operations.target(home, word)
    try:
        found = targets.find(home, word)
    except TargetError:
        if not is_reference(word):
            raise
        from udockpy.operations.pull import PullOptions, pull

        return targets.of_image(pull(word, PullOptions(), environ))
    if found.kind == targets.IMAGE:
        _unpacked(home, word, environ)
    return found


def is_reference(word: str) -> bool:
    """Whether `word` says by itself that it names an image: a bare word may be a mistyped name of a
    container, which must not become a download.
    """
    return not targets.is_path(word) and any(mark in word for mark in "/:@")


def _unpacked(home: Home, word: str, environ: Mapping[str, str]) -> None:
    image = images.find(home, word)
    if image is not None and image.entry is not None:
        from udockpy.operations.pull import ensure_tree

        ensure_tree(home, image, environ)
