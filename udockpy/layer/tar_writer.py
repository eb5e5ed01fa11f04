"""Writes members as a tar archive: PAX, with extended attributes as SCHILY.xattr, which umoci,
docker and GNU tar take.
"""

from __future__ import annotations

import tarfile
from decimal import Decimal
from typing import IO

from udockpy.layer.member import Kind, Member
from udockpy.layer.tar_reader import KINDS, XATTR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

TYPES = {Kind.FILE: tarfile.REGTYPE, **{kind: type_ for type_, kind in KINDS.items()}}


def write_tar(members: Iterable[Member], output: IO[bytes]) -> None:
    """Streams the members into `output`."""
    with tarfile.open(
        fileobj=output, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 18, encoding="utf-8"
    ) as archive:
        for member in members:
            entry = _entry(member)
            if member.content is None:
                archive.addfile(entry)
                continue
            with member.content() as content:
                archive.addfile(entry, content)
            archive.members = []  # type: ignore[attr-defined]  # it keeps every header; nothing here looks back


def _entry(member: Member) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(f"./{member.name}" if member.name else ".")
    entry.type = TYPES[member.kind]
    entry.mode = member.mode
    entry.uid, entry.gid = member.uid, member.gid
    seconds, nanoseconds = divmod(member.mtime_ns, 1_000_000_000)
    entry.mtime = seconds
    entry.size = member.size
    entry.linkname = f"./{member.link}" if member.kind is Kind.HARDLINK else member.link
    entry.devmajor, entry.devminor = member.rdev
    entry.pax_headers = {
        XATTR + key: value.decode("utf-8", "surrogateescape") for key, value in member.xattrs
    }
    if nanoseconds:
        entry.pax_headers["mtime"] = f"{Decimal(member.mtime_ns) / 1_000_000_000:f}"
    return entry
