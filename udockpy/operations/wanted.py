"""What a TARGET of a command means, when it may have to be brought first."""

from __future__ import annotations

import os

from udockpy.errors import TargetError, UsageError
from udockpy.store import images, targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.home import Home
    from udockpy.store.targets import Target


def target(
    home: Home,
    word: str,
    environ: Mapping[str, str],
    *,
    platform: str = "",
    may_pull: bool = True,
) -> Target:
    """As targets.find(); an image that is named as a reference, and is not there, or not for the
    wanted platform, is pulled.
    """
    try:
        found = present(home, word, environ)
    except TargetError:
        if not is_reference(word):
            raise
        return _pull(word, environ, platform=platform, may_pull=may_pull)
    if not platform:
        return found
    if found.kind != targets.IMAGE:
        reason = "a sandbox or a container is for the platform that it was made for"
        raise UsageError("cannot use --platform", word, reason)
    # A single file is for the platform that it is for.
    if not os.path.isfile(found.name) and not _is_for(home, word, platform):
        return _pull(word, environ, platform=platform, may_pull=may_pull)
    return found


def present(home: Home, word: str, environ: Mapping[str, str]) -> Target:
    """As target(), but nothing is pulled."""
    if os.path.isfile(word):
        from udockpy.operations import files as operations
        from udockpy.store import files

        if files.is_image(word):
            return operations.target(home, word)
    found = targets.find(home, word)
    if found.kind == targets.IMAGE:
        _unpacked(home, word, environ)
    return found


def is_reference(word: str) -> bool:
    """Whether `word` says by itself that it names an image: a bare word may be a mistyped name of a
    container, which must not become a download.
    """
    return not targets.is_path(word) and any(mark in word for mark in "/:@")


def _pull(word: str, environ: Mapping[str, str], *, platform: str, may_pull: bool) -> Target:
    if not may_pull:
        command = f"udockpy pull {f'--platform {platform} ' if platform else ''}{word}"
        reason = "the image is not here, and nothing is pulled to show what would be done"
        raise TargetError("cannot find", word, reason, hint=f"pull it first: {command}")
    from udockpy.operations.pull import PullOptions, pull

    return targets.of_image(pull(word, PullOptions(platform=platform), environ))


def _is_for(home: Home, word: str, platform: str) -> bool:
    """Whether an image is for a platform; what it says nothing of, it is for."""
    from udockpy.oci import platform as platforms

    image = images.find(home, word)
    if image is None or image.entry is None or image.entry.platform is None:
        return True
    return platforms.runs(image.entry.platform, platforms.parse(platform))


def _unpacked(home: Home, word: str, environ: Mapping[str, str]) -> None:
    image = images.find(home, word)
    if image is not None and image.entry is not None:
        from udockpy.operations.pull import ensure_tree

        ensure_tree(home, image, environ)
