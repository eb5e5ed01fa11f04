"""verify: a file that is as it was signed, and every way in which one may not be."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from pathlib import Path

import pytest

from udockpy.errors import ImageError
from udockpy.sif import image as sif
from udockpy.sif.verify import verify

WHEN = 1_700_000_000
ROW = 585


def descriptor_at(number: int) -> int:
    return 4096 + (number - 1) * ROW


def sha256(*parts: bytes) -> str:
    return f"sha256:{hashlib.sha256(b''.join(parts)).hexdigest()}"


def message(content: bytes, digest_of_object: str = "") -> bytes:
    """What Apptainer signs of a file, by the documented places of its fields."""
    rows = []
    for number in (1, 2):
        at = descriptor_at(number)
        offset, size = struct.unpack_from("<qq", content, at + 17)
        kind_and_used = content[at : at + 5]
        link = content[at + 13 : at + 17]
        length_created = content[at + 25 : at + 33] + content[at + 41 : at + 49]
        owner = content[at + 57 : at + 73]
        rest = content[at + 73 : at + ROW]
        relative = struct.pack("<I", number - 1)
        signed = kind_and_used + relative + link + length_created + owner + rest
        digest = digest_of_object or sha256(content[offset : offset + size])
        row = {"relativeId": number - 1, "descriptorDigest": sha256(signed), "objectDigest": digest}
        rows.append(row)
    header = {"digest": sha256(content[:45], content[48:64])}
    document = {"version": 1, "header": header, "objects": rows}
    return b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n%s\n%s\n" % (
        json.dumps(document).encode(),
        b"-----BEGIN PGP SIGNATURE-----\n\nxx\n-----END PGP SIGNATURE-----",
    )


@pytest.fixture
def plain(tmp_path: Path) -> bytes:
    root = tmp_path / "root.squashfs"
    root.write_bytes(b"hsqs" + bytes(5000))
    objects = [
        sif.Object(sif.DEFINITION, "definition", b"bootstrap: scratch\n"),
        sif.primary_partition(str(root), "amd64", "rootfs.squashfs"),
    ]
    output = io.BytesIO()
    sif.write(output, objects, "amd64", WHEN)
    return output.getvalue()


def with_signature(content: bytes, text: bytes) -> bytes:
    """The file with a signature of group 1 as its third object, as signing adds it."""
    row = sif.DESCRIPTOR.pack(
        sif.SIGNATURE, True, 3, sif.GROUP, sif.GROUP | 1, len(content), len(text), len(text),
        WHEN, WHEN, 0, 0, b"signature", struct.pack("<i", 1),
    )  # fmt: skip
    at = descriptor_at(3)
    return content[:at] + row + content[at + ROW :] + text


def test_what_nobody_signed_is_whole(plain: bytes) -> None:
    assert verify(io.BytesIO(plain), "x") == (2, ())


def test_what_is_as_it_was_signed_is_said_so(plain: bytes) -> None:
    signed = with_signature(plain, message(plain))
    assert verify(io.BytesIO(signed), "x") == (3, (1, 2))
    entry = sif.read(io.BytesIO(signed), "x").objects[2]
    assert entry.describe() == "Signature (SHA-256)"
    assert (entry.link, entry.of_group) == (1, True)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (3, "the header is not what was signed"),
        (50, "the header is not what was signed"),
        (descriptor_at(1) + 80, "descriptor 1 is not"),
        (descriptor_at(2) + 45, "descriptor 2 is not"),
        (32180, "object 1 is not"),
        (-800, "object 2 is not"),
    ],
)
def test_every_change_of_what_was_signed_is_found(plain: bytes, at: int, said: str) -> None:
    signed = bytearray(with_signature(plain, message(plain)))
    signed[at + len(plain) if at < 0 else at] ^= 1
    with pytest.raises(ImageError, match=said):
        verify(io.BytesIO(bytes(signed)), "x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "cannot be understood"),
        (b"x\n\n[]\n", "not a document"),
        (b'x\n\n{"header": {}}\n', "cannot be understood"),
    ],
)
def test_a_signature_that_is_none_is_refused(plain: bytes, text: bytes, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        verify(io.BytesIO(with_signature(plain, text)), "x")


def test_unknown_digests_are_refused(plain: bytes) -> None:
    signed = with_signature(plain, message(plain, "md4:00"))
    with pytest.raises(ImageError, match="unknown digest md4"):
        verify(io.BytesIO(signed), "x")


def test_overlapping_objects_are_damage(plain: bytes) -> None:
    damaged = bytearray(plain)
    struct.pack_into("<q", damaged, descriptor_at(2) + 17, 32178)
    with pytest.raises(ImageError, match="objects 1 and 2 overlap"):
        verify(io.BytesIO(bytes(damaged)), "x")


def test_a_root_filesystem_must_begin_as_one(plain: bytes) -> None:
    damaged = plain.replace(b"hsqs", b"none")
    with pytest.raises(ImageError, match="no squashfs"):
        verify(io.BytesIO(damaged), "x")
