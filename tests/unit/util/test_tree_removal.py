"""Trees go away, whatever modes and depths a guest left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from udockpy.util import atomic, tree


def test_unreadable_directories_are_removed(tmp_path: Path) -> None:
    inner = tmp_path / "t/a/b"
    inner.mkdir(parents=True)
    (inner / "file").write_text("")
    for path in (inner, inner.parent, tmp_path / "t"):
        path.chmod(0)
    tree.remove(os.fspath(tmp_path / "t"))
    assert not os.path.lexists(tmp_path / "t")


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("")
    (tmp_path / "t").mkdir()
    (tmp_path / "t/link").symlink_to(tmp_path / "kept")
    tree.remove(os.fspath(tmp_path / "t"))
    assert (tmp_path / "kept/file").exists()


def test_a_tree_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("directory", dir_fd=fd)
        inner = os.open("directory", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    tree.remove(os.fspath(tmp_path / "directory"))
    assert os.listdir(tmp_path) == []


def test_nothing_to_remove_is_no_error(tmp_path: Path) -> None:
    tree.remove(os.fspath(tmp_path / "none"))


def test_a_directory_appears_only_when_its_block_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "new"

    def fail() -> None:
        with atomic.new_directory(os.fspath(path)) as scratch:
            Path(scratch, "half").mkdir(mode=0)
            assert not path.exists()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert os.listdir(tmp_path) == []
    with atomic.new_directory(os.fspath(path)) as scratch:
        Path(scratch, "whole").write_text("")
    assert os.listdir(tmp_path) == ["new"]
    assert os.listdir(path) == ["whole"]


def test_of_two_directories_of_one_name_the_first_stays(tmp_path: Path) -> None:
    path = os.fspath(tmp_path / "new")
    with atomic.new_directory(path) as scratch:
        Path(scratch, "first").write_text("")
    with pytest.raises(OSError, match="not empty"), atomic.new_directory(path) as scratch:
        Path(scratch, "second").write_text("")
    assert os.listdir(tmp_path) == ["new"]
    assert os.listdir(path) == ["first"]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = os.fspath(tmp_path / "file")
    atomic.write(path, b"one")
    atomic.write(path, b"two", mode=0o640)
    assert Path(path).read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["file"]


def test_an_unchanged_file_is_left_alone(tmp_path: Path) -> None:
    path = os.fspath(tmp_path / "file")
    atomic.write_if_changed(path, b"one")
    inode = os.stat(path).st_ino
    atomic.write_if_changed(path, b"one")
    assert os.stat(path).st_ino == inode
