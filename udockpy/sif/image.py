"""Reads and writes SIF files, version 01, as Apptainer and SingularityCE do.

Source: the layout of github.com/sylabs/sif; all numbers are little-endian and packed.
"""

from __future__ import annotations

import os
import struct
from typing import IO, NamedTuple

from udockpy.errors import ImageError, reason_of

LAUNCH = b"#!/usr/bin/env run-singularity\n"
MAGIC = b"SIF_MAGIC\0"
VERSION = b"01\0"

HEADER = struct.Struct("<32s10s3s3s16s8q")
DESCRIPTOR = struct.Struct("<i?III7q128s384s")
PARTITION = struct.Struct("<ii3s")

DESCRIPTORS = 48  # what other writers reserve
DESCRIPTORS_AT = 4096
DATA_AT = DESCRIPTORS_AT + DESCRIPTORS * DESCRIPTOR.size
MAX_DESCRIPTORS = 4096
PAGE = 4096  # partitions begin at its multiples
GROUP = 0xF0000000  # set in group numbers; alone: no group

DEFINITION, ENVIRONMENT, LABELS, FILESYSTEM, SIGNATURE, JSON, GENERIC = range(0x4001, 0x4008)
KINDS = {
    DEFINITION: "Def.FILE",
    ENVIRONMENT: "Env.Vars",
    LABELS: "JSON.Labels",
    FILESYSTEM: "FS",
    SIGNATURE: "Signature",
    JSON: "JSON.Generic",
    GENERIC: "Generic/Raw",
    0x4008: "Cryptographic Message",
    0x4009: "SBOM",
    0x400A: "OCI.RootIndex",
    0x400B: "OCI.Blob",
}

SQUASHFS, EXT3, ARCHIVE, RAW, ENCRYPTED_SQUASHFS = range(1, 6)
FILESYSTEMS = {
    SQUASHFS: "Squashfs",
    EXT3: "Ext3",
    ARCHIVE: "Archive",
    RAW: "Raw",
    ENCRYPTED_SQUASHFS: "Encrypted squashfs",
}
SYSTEM, PRIMARY, DATA, OVERLAY = range(1, 5)
PARTS = {SYSTEM: "System", PRIMARY: "*System", DATA: "Data", OVERLAY: "Overlay"}

HASHES = {1: "SHA-256", 2: "SHA-384", 3: "SHA-512", 4: "BLAKE2S", 5: "BLAKE2B"}

# The format's codes, by the names that Go and OCI have for machines
ARCHITECTURES = {
    "386": b"01",
    "amd64": b"02",
    "arm": b"03",
    "arm64": b"04",
    "ppc64": b"05",
    "ppc64le": b"06",
    "mips": b"07",
    "mipsle": b"08",
    "mips64": b"09",
    "mips64le": b"10",
    "s390x": b"11",
    "riscv64": b"12",
    "loong64": b"13",
}


class Descriptor(NamedTuple):
    """One object of the file."""

    kind: int
    id: int
    group: int  # 0 = none
    link: int  # the id of the object or the number of the group it belongs to, 0 = none
    offset: int  # bytes from the start of the file
    size: int
    name: str
    extra: bytes
    created: int = 0  # seconds since 1970
    modified: int = 0
    owner: tuple[int, int] = (0, 0)  # uid and gid
    of_group: bool = False  # whether `link` is a group

    @property
    def partition(self) -> tuple[int, int, str]:
        """Filesystem, part and architecture of an object of the kind FILESYSTEM."""
        filesystem, part, code = PARTITION.unpack_from(self.extra)
        return filesystem, part, architecture_of(code)

    def describe(self) -> str:
        """The kind in words, as `apptainer sif list` has it."""
        text = KINDS.get(self.kind, f"{self.kind:#x}")
        if self.kind == SIGNATURE:
            return f"{text} ({HASHES.get(int.from_bytes(self.extra[:4], 'little'))})"
        if self.kind != FILESYSTEM:
            return text
        filesystem, part, architecture = self.partition
        return f"{text} ({FILESYSTEMS.get(filesystem)}/{PARTS.get(part)}/{architecture})"


class Image(NamedTuple):
    """The header of a file and its objects."""

    launch: str
    architecture: str
    id: str
    created: int
    modified: int
    free: int
    total: int
    objects: tuple[Descriptor, ...]

    def primary(self) -> Descriptor | None:
        """The partition with the root filesystem."""
        for entry in self.objects:
            if entry.kind == FILESYSTEM and entry.partition[1] == PRIMARY:
                return entry
        return None

    def find(self, kind: int, name: str = "") -> Descriptor | None:
        """The first object of a kind, and of that name if one is given."""
        for entry in self.objects:
            if entry.kind == kind and name in ("", entry.name):
                return entry
        return None


class Object(NamedTuple):
    """What to write: bytes, or a file of the host."""

    kind: int
    name: str
    content: bytes = b""
    source: str = ""
    extra: bytes = b""


def architecture_of(code: bytes) -> str:
    """The architecture that a code stands for."""
    wanted = code.rstrip(b"\0")
    return next((name for name, known in ARCHITECTURES.items() if known == wanted), "unknown")


def primary_partition(source: str, architecture: str, name: str) -> Object:
    """The root filesystem, as a squashfs file of the host."""
    code = ARCHITECTURES.get(architecture, b"00")
    return Object(FILESYSTEM, name, source=source, extra=PARTITION.pack(SQUASHFS, PRIMARY, code))


def is_sif(head: bytes) -> bool:
    """Whether a file that starts so is one of this format."""
    return head[32:42] == MAGIC


def read(file: IO[bytes], subject: str) -> Image:
    """Reads header and descriptors; ImageError for what is not a whole file of this format."""
    file.seek(0)
    head = file.read(HEADER.size)
    if len(head) < HEADER.size or not is_sif(head):
        raise _bad(subject, "not a SIF file")
    launch, _, version, code, identifier, *numbers = HEADER.unpack(head)
    created, modified, free, total, table, table_size, _, _ = numbers
    if version != VERSION:
        found = version.rstrip(b"\0").decode("ascii", "replace")
        raise _bad(subject, f"version {found} of the format, where 01 is known")
    if not 0 < total <= MAX_DESCRIPTORS or table_size != total * DESCRIPTOR.size or table < 0:
        raise _bad(subject, "its table of descriptors is damaged")
    file.seek(table)
    content = file.read(table_size)
    end = file.seek(0, os.SEEK_END)
    if len(content) < table_size:
        raise _bad(subject, "it ends in its table of descriptors")
    objects = []
    for row in DESCRIPTOR.iter_unpack(content):
        kind, used, number, group, link, offset, size, _, made, changed, uid, gid, name, extra = row
        if not used:
            continue
        if offset < 0 or size < 0 or offset + size > end:
            raise _bad(subject, f"object {number} lies outside the file: it was cut short")
        objects.append(
            Descriptor(
                kind,
                number,
                group & ~GROUP,
                link & ~GROUP,
                offset,
                size,
                name.split(b"\0", 1)[0].decode("utf-8", "replace"),
                extra,
                made,
                changed,
                (uid, gid),
                link & GROUP == GROUP,
            )
        )
    import uuid  # slow to load, and no run needs it

    return Image(
        launch.split(b"\0", 1)[0].decode("utf-8", "replace"),
        architecture_of(code),
        str(uuid.UUID(bytes=identifier)),
        created,
        modified,
        free,
        total,
        tuple(objects),
    )


def open_image(path: str) -> tuple[IO[bytes], Image]:
    """Opens a file and reads its header; the caller closes it."""
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as e:
        raise _bad(path, reason_of(e)) from e
    try:
        return file, read(file, path)
    except BaseException:
        file.close()
        raise


def content(file: IO[bytes], entry: Descriptor, limit: int = 1 << 26) -> bytes:
    """A small object."""
    if entry.size > limit:
        raise _bad(entry.name, f"an object of {entry.size} bytes where a small one is expected")
    file.seek(entry.offset)
    return file.read(entry.size)


def write(output: IO[bytes], objects: list[Object], architecture: str, when: int) -> None:
    """Writes a file of these objects. With the same objects and `when` (seconds since 1970) the
    bytes are the same.
    """
    if len(objects) > DESCRIPTORS:
        raise ValueError("too many objects")
    import uuid

    rows = []
    state = uuid.NAMESPACE_OID
    output.seek(DATA_AT)
    for number, entry in enumerate(objects, 1):
        before = output.tell()
        if entry.kind == FILESYSTEM:
            output.seek(-before % PAGE, os.SEEK_CUR)
        offset = output.tell()
        size, digest = _copy(entry, output)
        state = uuid.uuid5(state, f"{entry.kind} {entry.name} {digest}")
        name = entry.name.encode()[:127]
        row = (entry.kind, True, number, GROUP | 1, 0, offset, size, offset + size - before)
        rows.append(DESCRIPTOR.pack(*row, when, when, 0, 0, name, entry.extra))
    end = output.tell()
    table = b"".join(rows).ljust(DESCRIPTORS * DESCRIPTOR.size, b"\0")
    output.seek(DESCRIPTORS_AT)
    output.write(table)
    output.seek(0)
    output.write(
        HEADER.pack(
            LAUNCH,
            MAGIC,
            VERSION,
            ARCHITECTURES.get(architecture, b"00"),
            state.bytes,
            when,
            when,
            DESCRIPTORS - len(objects),
            DESCRIPTORS,
            DESCRIPTORS_AT,
            len(table),
            DATA_AT,
            end - DATA_AT,
        )
    )
    output.seek(end)


def _copy(entry: Object, output: IO[bytes]) -> tuple[int, str]:
    """Writes one object; returns its size in bytes and its digest."""
    import hashlib

    state = hashlib.sha256(entry.content)
    if not entry.source:
        output.write(entry.content)
        return len(entry.content), state.hexdigest()
    size = 0
    with open(entry.source, "rb") as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
            output.write(chunk)
            size += len(chunk)
    return size, state.hexdigest()


def _bad(subject: str, reason: str) -> ImageError:
    return ImageError("cannot read the image", subject, reason)
