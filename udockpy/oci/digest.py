"""Digests: names of contents by their hash, `sha256:HEX`."""

from __future__ import annotations

import hashlib
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Hash(Protocol):
        """What hashlib makes."""

        def update(self, data: bytes, /) -> None: ...
        def hexdigest(self) -> str: ...


# The registered algorithms; one that cannot be checked is as good as none, so others are refused.
PATTERN = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def valid(text: str) -> bool:
    """Whether `text` is a digest of an algorithm that we can check."""
    return PATTERN.fullmatch(text) is not None


def split(digest: str) -> tuple[str, str]:
    """Algorithm and hexadecimal value of a valid digest."""
    algorithm, _, value = digest.partition(":")
    return algorithm, value


def hasher(digest: str) -> Hash:
    """A fresh hash of the digest's algorithm."""
    return hashlib.new(split(digest)[0])


def of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def matches(digest: str, content: bytes) -> bool:
    state = hasher(digest)
    state.update(content)
    return state.hexdigest() == split(digest)[1]


def short(digest: str) -> str:
    """Enough to tell digests apart in a message."""
    return split(digest)[1][:12]
