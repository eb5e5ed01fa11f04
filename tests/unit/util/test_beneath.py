"""Guest paths are looked up inside the guest's root, whatever its links say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from udockpy.util.beneath import Root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("guest")
    (root / "usr/bin").mkdir(parents=True)
    (tmp_path / "passwd").write_text("host")
    return root


def read(tree: Path, path: str) -> str:
    with Root(os.fspath(tree)) as root:
        return root.read(path).decode()


@pytest.mark.parametrize(
    ("link", "to", "path"),
    [
        ("a", "/etc/passwd", "/a"),
        ("a", "../../../../etc/passwd", "/a"),
        ("usr/bin/p", "../../etc/passwd", "/usr/bin/p"),
        ("e", "/etc", "/e/passwd"),
        ("e", "/./etc/../usr/../etc", "e//./passwd"),
    ],
)
def test_links_mean_what_they_mean_to_the_guest(tree: Path, link: str, to: str, path: str) -> None:
    (tree / link).symlink_to(to)
    assert read(tree, path) == "guest"


@pytest.mark.parametrize("path", ["/../../../etc/passwd", "../etc/passwd", "/etc/../../etc/passwd"])
def test_dots_stop_at_the_root(tree: Path, path: str) -> None:
    assert read(tree, path) == "guest"


def test_a_link_to_a_host_file_leads_nowhere(tree: Path, tmp_path: Path) -> None:
    (tree / "out").symlink_to(tmp_path / "passwd")
    with pytest.raises(FileNotFoundError):
        read(tree, "/out")


def test_a_loop_of_links_ends(tree: Path) -> None:
    (tree / "a").symlink_to("b")
    (tree / "b").symlink_to("/a")
    with pytest.raises(OSError, match="symbolic links"):
        read(tree, "/a")


def test_a_file_is_no_directory(tree: Path) -> None:
    with pytest.raises(NotADirectoryError):
        read(tree, "/etc/passwd/x")


def test_no_descriptor_is_left_open(tree: Path) -> None:
    (tree / "e").symlink_to("/usr/../etc")
    before = len(os.listdir("/proc/self/fd"))
    read(tree, "/e/passwd")
    with pytest.raises(FileNotFoundError):
        read(tree, "/usr/bin/none")
    assert len(os.listdir("/proc/self/fd")) == before
