"""Seals: what files pretend, written to the files themselves, where it survives a copy.

Three extended attributes, the first two of which others read and write too:

    user.containers.override_stat   UID:GID:0MODE[:TYPE], TYPE block-MAJOR-MINOR or char-MAJOR-MINOR
                                    for devices (podman, fuse-overlayfs)
    user.rootlesscontainers         a protobuf of the ids: field 1 uid, field 2 gid (umoci)
    user.udockpy.NAME               the attribute NAME, which the user himself cannot set

Files that cannot have such (symbolic links, pipes, devices; all where the filesystem has none) are
in a list only, which is complete: one JSON object a line, by path.
"""

from __future__ import annotations

import base64
import json
import os
import stat
from typing import NamedTuple

from udockpy.layer.fakedb import MODE, NODE, OWNER, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OVERRIDE = "user.containers.override_stat"
ROOTLESS = "user.rootlesscontainers"
OURS = "user.udockpy."
NOBODY = 0xFFFFFFFF  # in ROOTLESS: the real id counts
TYPES = {"block": stat.S_IFBLK, "char": stat.S_IFCHR}


class Pretence(NamedTuple):
    """All that a file pretends."""

    record: Record = Record(0)
    xattrs: Mapping[str, bytes] = {}

    def __bool__(self) -> bool:
        return bool(self.record.has or self.xattrs)


def is_seal(name: str) -> bool:
    """Whether an attribute is a seal, and no content of the file."""
    return name in (OVERRIDE, ROOTLESS) or name.startswith(OURS)


def seals(pretence: Pretence) -> dict[str, bytes]:
    """The attributes that say what a file pretends; its record has owner and mode."""
    record = pretence.record
    attributes = {OURS + name: value for name, value in pretence.xattrs.items()}
    attributes[OVERRIDE] = override(record).encode()
    if record.uid or record.gid:
        attributes[ROOTLESS] = b"\x08" + _varint(record.uid) + b"\x10" + _varint(record.gid)
    return attributes


def unsealed(attributes: Mapping[str, bytes]) -> Pretence:
    """What a file's attributes say that it pretends. What is malformed says nothing."""
    xattrs = {
        name[len(OURS) :]: value for name, value in attributes.items() if name.startswith(OURS)
    }
    record = _overridden(attributes.get(OVERRIDE, b"").decode("ascii", "replace"))
    return Pretence(record or _rootless(attributes.get(ROOTLESS, b"")) or Record(0), xattrs)


def override(record: Record) -> str:
    """What OVERRIDE says of a record."""
    text = f"{record.uid}:{record.gid}:0{stat.S_IMODE(record.mode):o}"
    if record.has & NODE:
        kind = "block" if stat.S_ISBLK(record.mode) else "char"
        text += f":{kind}-{record.rdev[0]}-{record.rdev[1]}"
    return text


def _overridden(text: str) -> Record | None:
    uid, gid, mode, kind = (*text.split(":"), "")[:4] if text.count(":") >= 2 else ("",) * 4
    name, _, numbers = kind.partition("-")
    try:
        # Some write the type of the file into the mode as well.
        record = Record(OWNER | MODE, int(uid), int(gid), stat.S_IMODE(int(mode, 8)))
        if name not in TYPES:
            return record
        major, minor = numbers.split("-")
        return record._replace(
            has=OWNER | MODE | NODE,
            mode=record.mode | TYPES[name],
            rdev=(int(major), int(minor)),
        )
    except ValueError:
        return None


def _rootless(message: bytes) -> Record | None:
    ids = {1: 0, 2: 0}
    at = 0
    try:
        while at < len(message):
            field, at = message[at], at + 1
            value, shift = 0, 0
            while message[at] & 0x80:
                value, shift, at = value | (message[at] & 0x7F) << shift, shift + 7, at + 1
            ids[field >> 3], at = value | message[at] << shift, at + 1
    except IndexError:
        return None
    if not message or NOBODY in ids.values():
        return None
    return Record(OWNER, ids[1], ids[2])


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def attributes(path: str) -> dict[str, bytes]:
    """The seals of a file; none where it cannot have any. A symbolic link is not followed."""
    try:
        names = [name for name in os.listxattr(path, follow_symlinks=False) if is_seal(name)]
        return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
    except OSError:
        return {}


def apply(path: str, wanted: Mapping[str, bytes]) -> bool:
    """Sets a file's seals, and removes others; False where it can have none."""
    found = attributes(path)
    try:
        for name in found.keys() - wanted.keys():
            os.removexattr(path, name, follow_symlinks=False)
        for name, value in wanted.items():
            if found.get(name) != value:
                os.setxattr(path, name, value, follow_symlinks=False)
    except OSError:
        return False
    return True


def list_lines(entries: Iterable[tuple[str, Pretence]]) -> Iterator[str]:
    """The list of all that is pretended, by path in the tree."""
    for path, pretence in entries:
        entry: dict[str, object] = {"path": path, "stat": override(pretence.record)}
        if pretence.xattrs:
            entry["xattrs"] = {
                name: base64.b64encode(value).decode() for name, value in pretence.xattrs.items()
            }
        yield json.dumps(entry) + "\n"


def parse_list(lines: Iterable[str]) -> dict[str, Pretence]:
    """The list, read; ValueError where it is none."""
    found = {}
    try:
        for line in lines:
            entry = json.loads(line)
            xattrs = {
                str(name): base64.b64decode(value)
                for name, value in entry.get("xattrs", {}).items()
            }
            record = _overridden(entry["stat"])
            found[str(entry["path"])] = Pretence(record or Record(0), xattrs)
    except (KeyError, TypeError, AttributeError) as e:
        raise ValueError(f"no list of owners: {e}") from None
    return found
