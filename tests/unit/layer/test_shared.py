"""Sealed trees, and containers made of links to them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from udockpy.layer.fakedb import LINKS, MODE, OWNER, Fakedb, Record, clone, key_of
from udockpy.layer.link_tree import link_tree, part_tree
from udockpy.layer.shared import is_shared, mark_tree, mark_works, own_mode
from udockpy.layer.tree_reader import TreeReader

WHEN = 10**18 + 123456789


class Image:
    """A tree with one of everything, marked."""

    def __init__(self, root: Path) -> None:
        self.root, self.fakedb = root / "rootfs", os.fspath(root / "fakedb")
        (self.root / "d").mkdir(parents=True)
        (self.root / "d/file").write_text("content")
        (self.root / "d/file").chmod(0o754)
        (self.root / "one").write_text("several")
        os.link(self.root / "one", self.root / "d/two")
        (self.root / "link").symlink_to("nowhere")
        os.mkfifo(self.root / "pipe")
        for path in (*self.root.rglob("*"), self.root):
            os.utime(path, ns=(WHEN, WHEN), follow_symlinks=False)
        with Fakedb(self.fakedb, create=True) as fakedb:
            for name in ("d", "d/file", "link", "pipe"):
                fakedb.update(self.key(name), Record(OWNER, 33, 34))
            fakedb.setxattr(self.key("d/file"), "trusted.x", b"value")
        mark_tree(os.fspath(self.root), self.fakedb)

    def key(self, name: str):  # type: ignore[no-untyped-def]
        fd = os.open(self.root, os.O_RDONLY)
        try:
            return key_of(name, dir_fd=fd)
        finally:
            os.close(fd)

    def facts(self, root: Path, fakedb: str) -> list[object]:
        with Fakedb(fakedb, read_only=True) as known:
            members = TreeReader(os.fspath(root), known).members()
            return [member._replace(content=None, inode=(0, 0), links=0) for member in members]


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path / "image")


@pytest.fixture
def container(image: Image, tmp_path: Path) -> Path:
    root = tmp_path / "container"
    root.mkdir()
    link_tree(os.fspath(image.root), image.fakedb, os.fspath(root), f"{root}.fakedb")
    return root


def test_a_mode_survives_its_mark() -> None:
    for mode in (0o600, 0o644, 0o755, 0o777, 0o664):
        shared = stat.S_IFREG | mode ^ (stat.S_ISVTX | stat.S_IWUSR)
        assert is_shared(shared)
        assert own_mode(shared) == stat.S_IFREG | mode
    assert not is_shared(stat.S_IFDIR | 0o1500)
    assert own_mode(stat.S_IFDIR | 0o1755) == stat.S_IFDIR | 0o1755


@pytest.mark.skipif(os.geteuid() == 0, reason="no mode keeps root from writing")
def test_marking_is_tried(tmp_path: Path) -> None:
    assert mark_works(os.fspath(tmp_path / "mark"))
    with pytest.raises(PermissionError):
        (tmp_path / "mark").write_text("x")


def test_a_shared_tree_is_read_as_it_was(image: Image) -> None:
    modes = {path.name: path.lstat().st_mode for path in image.root.rglob("*")}
    assert {name for name, mode in modes.items() if is_shared(mode)} == {"file", "one", "two"}
    read = {str(m.name): m.mode for m in image.facts(image.root, image.fakedb)}  # type: ignore[attr-defined]
    assert read["d/file"] == 0o754
    with Fakedb(image.fakedb, read_only=True) as fakedb:
        found = fakedb.get(image.key("one"))
    assert found is not None
    assert found.has == LINKS


def test_a_container_is_what_its_image_is(image: Image, container: Path) -> None:
    expected = image.facts(image.root, image.fakedb)
    assert image.facts(container, f"{container}.fakedb") == expected
    for name, same in (("d/file", True), ("one", True), ("pipe", False), ("link", False)):
        inodes = {(root / name).lstat().st_ino for root in (image.root, container)}
        assert (len(inodes) == 1) is same, name


def test_a_parted_container_shares_nothing(image: Image, container: Path) -> None:
    before = image.facts(image.root, image.fakedb)
    expected = image.facts(container, f"{container}.fakedb")
    part_tree(os.fspath(container), f"{container}.fakedb")
    assert image.facts(container, f"{container}.fakedb") == expected
    assert (container / "one").stat().st_nlink == 2
    (container / "d/file").write_text("changed")
    assert image.facts(image.root, image.fakedb) == before
    assert sorted(path.name for path in container.rglob("*")) == sorted(
        path.name for path in image.root.rglob("*")
    )


def test_a_cloned_fakedb_is_its_own(image: Image, tmp_path: Path) -> None:
    copy = os.fspath(tmp_path / "copy")
    clone(image.fakedb, copy)
    assert os.stat(copy).st_blocks <= os.stat(image.fakedb).st_blocks
    with Fakedb(copy) as fakedb:
        fakedb.update(image.key("d/file"), Record(MODE, mode=0o4755))
        assert fakedb.verify() == 0
        assert fakedb.xattrs(image.key("d/file")) == {"trusted.x": b"value"}
    with Fakedb(image.fakedb, read_only=True) as fakedb:
        assert fakedb.get(image.key("d/file")) == Record(OWNER | 8, 33, 34)
