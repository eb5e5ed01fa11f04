"""What Apptainer's users call images: files, directories, and references with a transport."""

from __future__ import annotations

import os

from udockpy.errors import ImageError, TargetError
from udockpy.operations import files as single_files
from udockpy.store import files, images, targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.home import Home
    from udockpy.store.targets import Target

DOCKER = "docker://"
LOCAL = ("docker-archive:", "oci:", "oci-archive:")
UNKNOWN = ("library:", "shub:", "oras:", "ipfs:", "docker-daemon:", "http:", "https:")
HINT = "udockpy has docker://, docker-archive:, oci: and oci-archive:"


def is_reference(word: str) -> bool:
    """Whether a word begins with a transport."""
    return "://" in word or (word.startswith((*LOCAL, *UNKNOWN)) and not os.path.exists(word))


def spelled(word: str) -> str:
    """A reference as udockpy writes it, or an error for a transport that it has not."""
    if word.startswith(DOCKER):
        return word
    if word.startswith(LOCAL):
        transport, _, path = word.partition(":")
        return f"{transport}:{path[2:] if path.startswith('//') else path}"
    transport = word.partition(":")[0]
    if word.startswith(UNKNOWN):
        raise ImageError(f"{transport}: is not supported by udockpy", word, hint=HINT)
    raise ImageError(f"Unsupported transport type: {transport}", hint=HINT)


def target(home: Home, word: str, environ: Mapping[str, str], *, insecure: bool) -> Target:
    """The image, whose tree is there afterwards. What a reference names is pulled, once."""
    if is_reference(word):
        return pulled(home, word, environ, insecure=insecure)
    path = os.path.abspath(word)
    if not os.path.exists(path):
        reason = f"failed to retrieve path for {path}: lstat {path}: no such file or directory"
        raise TargetError(f"could not open image {path}", reason)
    if os.path.isfile(path):
        if not files.is_image(path):
            raise TargetError(f"could not open image {path}", "image format not recognized")
        return single_files.target(home, path)
    return targets.find(home, path)


def pulled(
    home: Home, word: str, environ: Mapping[str, str], *, insecure: bool, fresh: bool = False
) -> Target:
    """The image of a reference; `fresh`: the registry is asked what it has now."""
    from udockpy.operations.pull import PullOptions, ensure_tree, pull

    reference = spelled(word)
    if not reference.startswith(DOCKER):
        options = PullOptions(quiet=True, name=_name_of(reference))
        return targets.of_image(pull(reference, options, environ))
    found = None if fresh else images.find(home, reference)
    if found is None:
        found = pull(reference, PullOptions(quiet=True, insecure=insecure), environ)
    ensure_tree(home, found, environ)
    return targets.of_image(found)


def _name_of(reference: str) -> str:
    """A name for the image of a file, which may have none: by what it is called there."""
    import hashlib

    transport, _, path = reference.partition(":")
    key = hashlib.sha256(os.path.abspath(path).encode("utf-8", "surrogateescape")).hexdigest()
    return f"localhost/{transport}/{key[:16]}:latest"
