"""Images of the store as their trees: pulled, read, and compared with what umoci makes of them."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from command import Udockpy

from udockpy.layer.member import Kind, Member
from udockpy.layer.tree_reader import open_tree


def image_of(udockpy: Udockpy, name: str) -> dict[str, Any]:
    (found,) = (
        row for row in json.loads(udockpy.output("images", "--json")) if row["name"] == name
    )
    return dict(found)


def pull(udockpy: Udockpy, *words: str | Path) -> dict[str, Any]:
    return image_of(udockpy, udockpy.output("pull", "-q", *words))


def tree(rootfs: str) -> dict[str, Member]:
    with open_tree(rootfs, f"{rootfs}/../fakedb") as reader:
        return {member.name: member for member in reader.members()}


def rootless_owner(path: Path) -> tuple[int, int]:
    """What umoci without root remembers: user.rootlesscontainers, two numbers as protobuf."""
    try:
        data = os.getxattr(path, "user.rootlesscontainers", follow_symlinks=False)
    except OSError:
        return 0, 0
    fields, at = {1: 0, 2: 0}, 0
    while at < len(data):
        field, at, value, shift = data[at] >> 3, at + 1, 0, 0
        while True:
            value |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not data[at - 1] & 0x80:
                break
        fields[field] = 0 if value == 0xFFFFFFFF else value  # "as it is", which is the root's
    return fields[1], fields[2]


def assert_same(rootfs: str, wanted: Path) -> None:
    """Ours against umoci's: names, kinds, contents, modes, owners, times, links."""
    ours = tree(rootfs)
    theirs = {
        os.path.relpath(os.path.join(base, name), wanted)
        for base, folders, names in os.walk(wanted)
        for name in (*folders, *names)
    }
    # What is in a directory of mode 0 can be seen in ours alone.
    assert set(ours) - {"", "opt/t/noperm/in"} == theirs
    for name in sorted(theirs):
        member, path, real = ours[name], wanted / name, Path(rootfs, name)
        found = path.lstat()
        if member.kind is Kind.CHARACTER:
            assert stat.S_ISREG(found.st_mode)  # umoci without root makes no devices
            assert (member.rdev, member.mode) == ((1, 3), 0o666)
            continue
        assert real.lstat().st_mtime_ns == found.st_mtime_ns, name
        if member.kind is Kind.HARDLINK:
            assert path.samefile(wanted / member.link), name
            continue
        assert member.kind.value == stat.S_IFMT(found.st_mode), name
        assert found.st_nlink == real.lstat().st_nlink or stat.S_ISDIR(found.st_mode), name
        if member.kind is Kind.SYMLINK:
            assert os.readlink(path) == member.link
            continue
        assert member.mode == stat.S_IMODE(found.st_mode), name
        assert (member.uid, member.gid) == rootless_owner(path), name
        if member.kind is Kind.FILE:
            assert real.read_bytes() == path.read_bytes(), name
