"""Images, containers, sandboxes and what runs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from udockpy.errors import BusyError, TargetError, UsageError
from udockpy.home import Home
from udockpy.store import containers, images, running, sandboxes, targets
from udockpy.store.tree import Tree


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(os.fspath(tmp_path / "home"))


def fill(tree: Tree) -> None:
    os.mkdir(tree.rootfs)
    Path(tree.rootfs, "file").write_text("x")


def fail(tree: Tree) -> None:
    fill(tree)
    raise KeyError


def everything(home: Home) -> list[str]:
    found = [os.path.join(base, name) for base, _, names in os.walk(home.path) for name in names]
    return sorted(os.path.relpath(path, home.path) for path in found)


def test_an_image_appears_whole_or_not_at_all(home: Home) -> None:
    with pytest.raises(KeyError):
        images.add(home, "deb", fail)
    assert images.listing(home) == []
    assert everything(home) == []
    images.add(home, "deb", fill)
    assert [image.name for image in images.listing(home)] == ["deb"]


def test_the_name_of_an_image_is_taken_once(home: Home) -> None:
    images.add(home, "deb", fill)
    with pytest.raises(BusyError, match="deb: the name is taken") as caught:
        images.add(home, "deb", fail)
    assert caught.value.hint == "remove it first: udockpy rmi deb"


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "-x", "a/b", "a b", "a\n", "x" * 129])
def test_names_that_could_be_something_else_are_refused(home: Home, name: str) -> None:
    with pytest.raises(UsageError, match="bad name"):
        images.add(home, name, fill)
    with pytest.raises(UsageError, match="bad name"):
        containers.create(home, fill, image="i", name=name)
    assert everything(home) == []


def test_a_removed_image_is_gone(home: Home) -> None:
    images.add(home, "deb", fill)
    images.remove(home, "deb")
    assert everything(home) == []
    with pytest.raises(TargetError, match="no such image"):
        images.remove(home, "deb")


def test_a_container_is_a_bundle_with_a_name(home: Home) -> None:
    made = containers.create(home, fill, image="deb", name="work")
    assert containers.find(home, "work") == containers.find(home, made.id) == made
    bundle = json.loads(Path(made.folder, "config.json").read_text())
    assert bundle["root"] == {"path": "rootfs", "readonly": False}
    assert containers.listing(home) == [(made.id, "work", "deb", False)]


def test_a_container_that_cannot_be_made_leaves_nothing(home: Home) -> None:
    with pytest.raises(KeyError):
        containers.create(home, fail, image="deb", name="work")
    assert everything(home) == []


def test_the_name_of_a_container_is_taken_once(home: Home) -> None:
    containers.create(home, fill, image="deb", name="work")
    with pytest.raises(BusyError, match="taken"):
        containers.create(home, fill, image="deb", name="work")
    assert len(containers.listing(home)) == 1


def test_a_removed_container_frees_its_name(home: Home) -> None:
    made = containers.create(home, fill, image="deb", name="work")
    containers.remove(home, made)
    assert containers.find(home, "work") is None
    assert os.listdir(home.names) == []


def test_the_name_of_a_container_that_vanished_can_be_taken(home: Home) -> None:
    made = containers.create(home, fill, image="deb", name="work")
    os.rename(made.folder, f"{made.folder}-gone")
    assert containers.create(home, fill, image="deb", name="work").id != made.id


def test_a_sandbox_is_known_by_its_inode_and_nothing_is_written_in_it(
    home: Home, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "bin").mkdir(parents=True)
    folder = sandboxes.remember(home, os.fspath(first))
    first.rename(second)
    assert sandboxes.remember(home, os.fspath(second)) == folder
    assert Path(folder, "path").read_text() == os.fspath(second)
    assert os.listdir(second) == ["bin"]


def test_targets_are_directories_containers_or_images(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images.add(home, "deb", fill)
    made = containers.create(home, fill, image="deb", name="work")
    (tmp_path / "box/bin").mkdir(parents=True)
    assert targets.find(home, "deb").kind == targets.IMAGE
    assert targets.find(home, "work").name == made.id
    assert targets.find(home, "box").kind == targets.SANDBOX
    assert targets.find(home, "./box").tree.rootfs == os.fspath(tmp_path / "box")
    (tmp_path / "deb").mkdir()
    (tmp_path / "deb/bin").mkdir()
    assert targets.find(home, "deb").kind == targets.SANDBOX


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("none", "no such sandbox, container or image"),
        ("", "no such sandbox, container or image"),
        ("./none", "No such file or directory"),
        ("./empty", "the directory is empty"),
        ("./file", "a file, where a directory is needed"),
        ("./file/x", "Not a directory"),
        ("./loop", "Too many levels"),
    ],
)
def test_targets_that_are_none(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(TargetError, match=message) as caught:
        targets.find(home, word)
    assert caught.value.exit_code == 125


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_an_unreadable_sandbox_is_refused(home: Home, tmp_path: Path) -> None:
    (tmp_path / "box").mkdir(mode=0)
    with pytest.raises(TargetError, match="Permission denied"):
        targets.find(home, f"{tmp_path}/box")


def test_running_guests_are_known_while_they_live(home: Home) -> None:
    process = subprocess.Popen(["sleep", "100"])
    try:
        running.record(home, process.pid, engine="trap", target="/box", command=("a b", "\udcff\n"))
        (found,) = running.listing(home)
        assert found[2:] == ("trap", "/box", ("a b", "\udcff\n"))
    finally:
        process.kill()
        process.wait()
    assert running.listing(home) == []
    assert os.listdir(home.run) == []


def test_a_reused_pid_is_no_running_guest(home: Home) -> None:
    path = running.record(home, os.getpid(), engine="trap", target="/box", command=("x",))
    Path(path).write_bytes(
        Path(path).read_bytes().replace(running.start_time(os.getpid()).encode(), b"1")
    )
    assert running.listing(home) == []
