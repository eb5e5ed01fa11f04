"""Packs members as the file of a layer: the same members give the same bytes."""

from __future__ import annotations

import gzip
import hashlib
from typing import IO, NamedTuple, cast

from udockpy.layer.tar_writer import write_tar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from udockpy.layer.member import Member

LEVEL = 6  # gzip(1)'s own; 9 takes twice as long for a hundredth


class Packed(NamedTuple):
    """A layer that was written."""

    digest: str
    size: int  # bytes
    diff_id: str  # the digest of the plain archive


def pack(members: Iterable[Member], output: IO[bytes]) -> Packed:
    """Writes a gzip compressed archive of the members."""
    packed = _Hashed(output)
    # No name and no time of its own, which would make it another file each time.
    with gzip.GzipFile("", "wb", LEVEL, cast("IO[bytes]", packed), mtime=0) as compressor:
        plain = _Hashed(cast("IO[bytes]", compressor))
        write_tar(members, cast("IO[bytes]", plain))
    return Packed(packed.digest, packed.size, plain.digest)


class _Hashed:
    """A stream to write to, and the digest of what went through it."""

    def __init__(self, output: IO[bytes]) -> None:
        self.output = output
        self.hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self.hash.hexdigest()}"

    def write(self, chunk: bytes) -> int:
        self.hash.update(chunk)
        self.size += len(chunk)
        self.output.write(chunk)
        return len(chunk)

    def flush(self) -> None:
        self.output.flush()
