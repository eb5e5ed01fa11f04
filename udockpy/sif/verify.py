"""Checks that a SIF file is whole: by its own tables, by its root filesystem, and against the
digests that its signatures hold.

A signature is a message with digests of the header, of descriptors and of objects. Whether the
message is by whom it says is a question for PGP, and not asked here.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import IO, Any, NamedTuple

from udockpy.errors import ImageError
from udockpy.sif import image as sif

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SIGNATURE_STARTS = b"-----BEGIN PGP SIGNATURE-----"
SQUASHFS = b"hsqs"
CHUNK = 1 << 20
HASHES = ("sha256", "sha384", "sha512", "blake2s", "blake2b")
SIGNED_HEADER = (0, 45), (48, 64)  # launch line, magic and version; then the id
SIGNED_FIELDS = struct.Struct("<i?IIqqqq")


class Report(NamedTuple):
    """What was checked."""

    objects: int  # how many there are
    signed: tuple[int, ...]  # ids of those that are as they were when somebody signed them


def verify(file: IO[bytes], subject: str) -> Report:
    """Checks a file; ImageError for what is not as it should be."""
    check = _Check(file, sif.read(file, subject), subject)
    check.places()
    check.primary()
    signatures = [entry for entry in check.image.objects if entry.kind == sif.SIGNATURE]
    signed = {number for entry in signatures for number in check.signature(entry)}
    return Report(len(check.image.objects), tuple(sorted(signed)))


class _Check(NamedTuple):
    """One file being checked."""

    file: IO[bytes]
    image: sif.Image
    subject: str

    def places(self) -> None:
        """No object lies in another one."""
        end, before = 0, 0
        for entry in sorted(self.image.objects, key=lambda entry: entry.offset):
            if entry.size and entry.offset < end:
                raise self.bad(f"objects {before} and {entry.id} overlap")
            end, before = max(end, entry.offset + entry.size), entry.id

    def primary(self) -> None:
        """The root filesystem begins as one."""
        entry = self.image.primary()
        if entry is None:
            raise self.bad("it has no primary system partition")
        self.file.seek(entry.offset)
        if entry.partition[0] == sif.SQUASHFS and self.file.read(len(SQUASHFS)) != SQUASHFS:
            raise self.bad(f"object {entry.id} is no squashfs filesystem")

    def signature(self, signature: sif.Descriptor) -> list[int]:
        """Everything that was signed is as it was; returns the ids of those objects."""
        try:
            message = _message(sif.content(self.file, signature))
            self.same(self.header(), message["header"]["digest"], "the header")
            return [self.object(signature, row) for row in message["objects"]]
        except (KeyError, TypeError, ValueError) as e:
            raise self.bad(f"signature {signature.id} cannot be understood: {e}") from e

    def object(self, signature: sif.Descriptor, row: dict[str, Any]) -> int:
        """One object that was signed."""
        number = row["relativeId"]
        entry = self.signed(signature, number)
        descriptor = self.descriptor(entry, number)
        self.same([descriptor], row["descriptorDigest"], f"descriptor {entry.id}")
        self.same(self.chunks(entry), row["objectDigest"], f"object {entry.id}")
        return entry.id

    def signed(self, signature: sif.Descriptor, number: int) -> sif.Descriptor:
        """The object that a signature means: it counts from the first of the group."""
        by_id = {entry.id: entry for entry in self.image.objects}
        group = signature.link if signature.of_group else by_id[signature.link].group
        first = min(entry.id for entry in self.image.objects if entry.group == group)
        return by_id[first + number]

    def header(self) -> list[bytes]:
        self.file.seek(0)
        content = self.file.read(sif.HEADER.size)
        return [content[start:end] for start, end in SIGNED_HEADER]

    def descriptor(self, entry: sif.Descriptor, number: int) -> bytes:
        link = entry.link | sif.GROUP if entry.of_group else entry.link
        fields = (entry.kind, True, number, link, entry.size, entry.created, *entry.owner)
        return SIGNED_FIELDS.pack(*fields) + entry.name.encode().ljust(128, b"\0") + entry.extra

    def chunks(self, entry: sif.Descriptor) -> Iterator[bytes]:
        self.file.seek(entry.offset)
        left = entry.size
        while left and (chunk := self.file.read(min(left, CHUNK))):
            left -= len(chunk)
            yield chunk

    def same(self, chunks: Iterable[bytes], wanted: str, what: str) -> None:
        """Compares with a digest, ALGORITHM:HEX."""
        algorithm, _, value = wanted.partition(":")
        if algorithm not in HASHES:
            raise ValueError(f"unknown digest {algorithm}")
        state = hashlib.new(algorithm)
        for chunk in chunks:
            state.update(chunk)
        if state.hexdigest() != value:
            raise self.bad(f"{what} is not what was signed")

    def bad(self, reason: str) -> ImageError:
        return ImageError("the image is damaged", self.subject, reason)


def _message(content: bytes) -> dict[str, Any]:
    """The document in a message signed as clear text: after its headers and an empty line."""
    _, _, rest = content.replace(b"\r\n", b"\n").partition(b"\n\n")
    document = json.loads(rest.partition(SIGNATURE_STARTS)[0])
    if not isinstance(document, dict):
        raise ValueError("not a document")
    return document
