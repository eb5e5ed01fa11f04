"""Squashfs filesystems are read as squashfs-tools write them, and written so; damage is told."""

from __future__ import annotations

import io
import os
import random
import subprocess
import time
from pathlib import Path

import pytest
from support.world import missing

from udockpy.errors import ImageError
from udockpy.layer.fakedb import MODE, NODE, OWNER, Fakedb, Record, key_of
from udockpy.layer.member import Kind, Member
from udockpy.layer.squashfs_reader import SquashfsReader
from udockpy.layer.squashfs_writer import write_squashfs
from udockpy.layer.tree_reader import TreeReader
from udockpy.util.process import which

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
MKSQUASHFS = which("mksquashfs") or ""


@pytest.fixture(autouse=True)
def squashfs_tools() -> None:
    if not MKSQUASHFS:
        missing("mksquashfs: not found (apt-get install squashfs-tools)")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files of every kind that an ordinary user can make, with names of any bytes."""
    root = tmp_path / "tree"
    for name in ("etc", "bin", "empty", "deep/er/still"):
        (root / name).mkdir(parents=True)
    (root / "etc/empty").write_bytes(b"")
    (root / "etc/small").write_bytes(b"small\n")
    (root / "etc/blocks").write_bytes(random.Random(1).randbytes(300_000))
    (root / "etc/exact").write_bytes(random.Random(2).randbytes(131_072))
    with open(root / "etc/holes", "wb") as file:
        file.seek(400_000)
        file.write(b"end")
    os.link(root / "etc/small", root / "etc/again")
    (root / "bin/link").symlink_to("../etc/small")
    os.mkfifo(root / "fifo", 0o640)
    (root / os.fsdecode(b"deep/er/n\xff\n ame")).write_bytes(b"x")
    for i in range(700):
        (root / f"deep/er/still/{i:03}-a-name-that-takes-some-room").write_bytes(b"%d" % i)
    (root / "etc/small").chmod(0o4755)
    (root / "empty").chmod(0o1777)
    return root


def contents(members: list[Member]) -> dict[str, tuple[Member, bytes]]:
    """What members are; times in whole seconds, as squashfs has them."""
    found = {}
    for member in members:
        data = b""
        if member.content is not None:
            with member.content() as file:
                data = file.read()
            assert len(data) == member.size
        seconds = member.mtime_ns // 10**9 * 10**9
        said = member._replace(content=None, mtime_ns=seconds, inode=(0, 0), links=1)
        found[member.name] = (said, data)
    return found


def read(path: Path, offset: int = 0) -> dict[str, tuple[Member, bytes]]:
    with open(path, "rb") as file:
        members = []
        found = {}
        for member in SquashfsReader(file, str(path), offset).members():
            members.append(member)
            found.update(contents([member]))
        assert len(found) == len(members)
        return found


def streamed(reader: TreeReader) -> dict[str, tuple[Member, bytes]]:
    found = {}
    for member in reader.members():
        found.update(contents([member]))
    return found


@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd"])
@pytest.mark.parametrize("options", [[], ["-b", "4096"], ["-no-fragments"], ["-noI", "-noD"]])
def test_what_mksquashfs_makes_is_read(
    tmp_path: Path, tree: Path, compression: str, options: list[str]
) -> None:
    image = tmp_path / "image"
    quiet = ["-noappend", "-quiet", "-no-progress", "-all-root"]
    argv = [MKSQUASHFS, tree, image, *quiet, "-comp", compression, *options]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    if compression == "zstd":
        pytest.importorskip("backports.zstd")
    wanted = streamed(TreeReader(os.fspath(tree), None))
    # Which name of a file is its first depends on the order; here it is that of names, in both.
    assert read(image) == wanted


def test_owners_devices_and_attributes_are_those_remembered(tmp_path: Path, tree: Path) -> None:
    fakedb_file = tmp_path / "fakedb"
    (tree / "dev").mkdir()
    (tree / "dev/tty").write_bytes(b"")
    folder = os.open(tree, os.O_PATH)
    with Fakedb(os.fspath(fakedb_file), create=True) as fakedb:
        key = key_of("etc/small", dir_fd=folder)
        fakedb.update(key, Record(OWNER | MODE, 12, 70_000, 0o6711, (0, 0)))
        fakedb.setxattr(key, "security.capability", CAPABILITY)
        node = Record(OWNER | MODE | NODE, 0, 5, Kind.CHARACTER.value | 0o666, (5, 300))
        fakedb.update(key_of("dev/tty", dir_fd=folder), node)
    os.close(folder)
    image = tmp_path / "image"
    with Fakedb(os.fspath(fakedb_file), read_only=True) as fakedb:
        wanted = streamed(TreeReader(os.fspath(tree), fakedb))
        write_squashfs(TreeReader(os.fspath(tree), fakedb).members(), os.fspath(image))
    found = read(image)
    assert found == wanted
    small = found["etc/again"][0]
    assert (small.uid, small.gid, small.mode) == (12, 70_000, 0o6711)
    assert small.xattrs == (("security.capability", CAPABILITY),)
    assert found["dev/tty"][0].rdev == (5, 300)


def test_the_same_files_make_the_same_bytes(tmp_path: Path, tree: Path) -> None:
    images = [tmp_path / "one", tmp_path / "two"]
    for image in images:
        if image.name == "two":
            time.sleep(1.1)  # what is the present time would differ
        write_squashfs(TreeReader(os.fspath(tree), None).members(), os.fspath(image))
    assert images[0].read_bytes() == images[1].read_bytes()


def test_damage_is_told(tmp_path: Path, tree: Path) -> None:
    """Whatever bytes are wrong: the reader ends, with an error of ours or with other files."""
    image = tmp_path / "image"
    for name in ("etc/blocks", "etc/exact", "etc/holes"):
        (tree / name).unlink()
    write_squashfs(TreeReader(os.fspath(tree), None).members(), os.fspath(image))
    whole = image.read_bytes()
    dice = random.Random(3)
    told = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(dice.randrange(1, 4)):
            # Often in the superblock, and in the tables at the end.
            at = dice.choice((dice.randrange(96), dice.randrange(len(whole))))
            damaged[at] = dice.randrange(256)
        if dice.random() < 0.2:
            del damaged[dice.randrange(len(damaged)) :]
        try:
            for member in SquashfsReader(io.BytesIO(damaged), "image").members():
                contents([member])
        except ImageError:
            told += 1
    assert told > 100
