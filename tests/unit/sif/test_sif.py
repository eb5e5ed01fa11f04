"""SIF files: what is written is read again, by the documented layout, and damage is told."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import pytest

from udockpy.errors import ImageError
from udockpy.sif import image as sif

WHEN = 1_700_000_000


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    root = tmp_path / "root.squashfs"
    root.write_bytes(b"hsqs" + bytes(5000))
    objects = [
        sif.Object(sif.DEFINITION, "definition", b"bootstrap: scratch\n"),
        sif.Object(sif.JSON, "inspect-metadata.json", b"{}"),
        sif.primary_partition(str(root), "amd64", "rootfs.squashfs"),
    ]
    output = io.BytesIO()
    sif.write(output, objects, "amd64", WHEN)
    return output.getvalue()


def test_the_layout_is_the_formats(content: bytes) -> None:
    """By offsets, as other readers have them."""
    assert content.startswith(b"#!/usr/bin/env run-singularity\n\0")
    assert content[32:48] == b"SIF_MAGIC\0" + b"01\0" + b"02\0"
    numbers = struct.unpack_from("<8q", content, 64)
    assert numbers == (WHEN, WHEN, 45, 48, 4096, 28080, 32176, len(content) - 32176)
    third = 4096 + 2 * 585
    kind, used, number, group = struct.unpack_from("<i?II", content, third)
    assert (kind, used, number, group) == (0x4004, True, 3, 0xF0000001)
    offset, size = struct.unpack_from("<qq", content, third + 17)
    assert offset % 4096 == 0
    assert content[offset : offset + 4] == b"hsqs"
    assert size == 5004
    assert struct.unpack_from("<ii3s", content, third + 201) == (1, 2, b"02\0")


def test_what_is_written_is_read(content: bytes) -> None:
    file = io.BytesIO(content)
    found = sif.read(file, "x")
    assert found.launch == "#!/usr/bin/env run-singularity\n"
    assert (found.architecture, found.free, found.total) == ("amd64", 45, 48)
    assert [entry.name for entry in found.objects] == [
        "definition",
        "inspect-metadata.json",
        "rootfs.squashfs",
    ]
    definition = found.find(sif.DEFINITION)
    assert definition is not None
    assert sif.content(file, definition) == b"bootstrap: scratch\n"
    primary = found.primary()
    assert primary is not None
    assert primary.partition == (sif.SQUASHFS, sif.PRIMARY, "amd64")
    assert primary.describe() == "FS (Squashfs/*System/amd64)"
    assert (primary.group, primary.link) == (1, 0)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda c: b"", "not a SIF file"),
        (lambda c: c[:100], "not a SIF file"),
        (lambda c: c[:42] + b"02\0" + c[45:], "version 02"),
        (lambda c: c[:88] + struct.pack("<qq", 0, -1) + c[104:], "table of descriptors is damaged"),
        (lambda c: c[:96] + struct.pack("<q", -5) + c[104:], "table of descriptors is damaged"),
        (lambda c: c[:5000], "it ends in its table"),
        (lambda c: c[:-1], "cut short"),
    ],
)
def test_damage_is_told(content: bytes, damage: object, said: str) -> None:
    assert callable(damage)
    with pytest.raises(ImageError, match=said):
        sif.read(io.BytesIO(damage(content)), "x")


def test_random_damage_raises_nothing_else(content: bytes) -> None:
    dice = random.Random(1)
    for _ in range(2000):
        damaged = bytearray(content)
        for _ in range(dice.randrange(1, 5)):
            damaged[dice.choice((dice.randrange(128), dice.randrange(4096, 6000)))] = (
                dice.randrange(256)
            )
        try:
            found = sif.read(io.BytesIO(damaged), "x")
        except ImageError:
            continue
        for entry in found.objects:
            assert 0 <= entry.offset <= entry.offset + entry.size <= len(damaged)
            entry.describe()
