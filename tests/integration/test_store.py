"""tag, history, gc, cache clean, verify, protect and manifest inspect."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest
from command import Udockpy
from trees import image_of, pull
from world.registry import run
from zoo import Zoo


def blob(udockpy: Udockpy, digest: str) -> Path:
    return udockpy.home / "images/blobs" / digest.replace(":", "/")


def layers(udockpy: Udockpy, name: str) -> list[str]:
    (found,) = json.loads(udockpy.output("inspect", name))
    return [layer["digest"] for layer in found["manifest"]["layers"]]


def spoil(path: Path) -> None:
    """One bit of rot."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def pulled(udockpy: Udockpy, zoo: Zoo) -> str:
    return str(pull(udockpy, "--insecure", zoo.reference("opaque:gz"))["name"])


def test_an_image_has_several_names(udockpy: Udockpy, pulled: str) -> None:
    assert udockpy.output("tag", pulled, "mine:1") == "docker.io/library/mine:1"
    first, second = image_of(udockpy, pulled), image_of(udockpy, "docker.io/library/mine:1")
    assert first["digest"] == second["digest"]
    udockpy.output("rmi", pulled)
    assert udockpy.output("run", "--rm", "mine:1", "/bin/cat", "/etc/issue") == "zoo"
    assert "no such image" in udockpy.refusal("tag", pulled, "other:1")
    assert "no name that can be given" in udockpy.refusal("tag", "mine:1", f"a@{first['digest']}")


def test_an_imported_image_has_one_name(udockpy: Udockpy, image: str) -> None:
    assert "an imported image has no layers" in udockpy.refusal("tag", image, "other:1")


def test_the_history_is_that_of_umoci(udockpy: Udockpy, zoo: Zoo, pulled: str) -> None:
    rows = json.loads(udockpy.output("history", "--json", pulled))
    stat = json.loads(run("umoci", "stat", "--json", "--image", f"{zoo.layout}:opaque"))
    wanted = [
        (step["created_by"], (step["layer"] or {"size": 0})["size"]) for step in stat["history"]
    ]
    assert [(row["created_by"], row["size"]) for row in rows][::-1] == wanted
    assert udockpy.output("history", pulled).splitlines()[0].split() == ["CREATED", "SIZE", "BY"]


def test_what_is_protected_stays(udockpy: Udockpy, zoo: Zoo, pulled: str, image: str) -> None:
    container = udockpy.output("create", image)
    udockpy.output("protect", pulled, image, container)
    for words in (("rmi", pulled), ("rmi", "-f", image), ("rm", "-f", container)):
        said = udockpy.refusal(*words)
        assert "it is protected" in said
        assert "hint: udockpy unprotect" in said
    udockpy.output("pull", "-q", "--insecure", zoo.reference("opaque:gz"))
    assert "it is protected" in udockpy.refusal("rmi", pulled)
    other = udockpy.output("pull", "-q", f"oci:{zoo.layout}:base", "other:1")
    assert "cannot replace" in udockpy.refusal("tag", other, pulled)
    udockpy.output("unprotect", pulled, image, container)
    udockpy.output("rm", container)
    udockpy.output("rmi", pulled, image, other)
    assert udockpy.state() == []
    assert "no such container or image" in udockpy.refusal("protect", image)


def test_manifests_are_shown_as_they_are(udockpy: Udockpy, zoo: Zoo) -> None:
    words = ("manifest", "inspect", "--insecure", zoo.reference("multi:oci"))
    found = json.loads(udockpy.output(*words))
    assert {entry["platform"]["architecture"] for entry in found["manifests"]} == {"amd64", "arm64"}
    found = json.loads(udockpy.output("manifest", "inspect", f"oci:{zoo.layout}:base"))
    assert [layer["digest"] for layer in found["layers"]] == zoo.layers("base")
    assert not udockpy.home.exists() or udockpy.state() == []
    assert "not found" in udockpy.refusal(*words[:3], zoo.reference("none:1"))


def test_what_nothing_needs_is_freed(udockpy: Udockpy, zoo: Zoo, pulled: str) -> None:
    assert udockpy.output("gc") == "0 B are free"
    gone = [
        udockpy.home / "images/blobs/sha256" / ("0" * 64),
        udockpy.home / "downloads/sha256-half",
        udockpy.home / "trees" / ("1" * 64),
        udockpy.home / "trees/.half.1-ab",
        udockpy.home / "containers/.half.1-ab",
        udockpy.home / "imported/.half.1-ab",
        udockpy.home / "files" / ("2" * 64),
        udockpy.home / "files/3-4-5-6-7.path",
    ]
    for path in gone:
        path.parent.mkdir(parents=True, exist_ok=True)
        if len(path.name) == 64 and path.parent.name in ("trees", "files"):
            path.mkdir()
            (path / "file").write_bytes(b"x" * 100_000)
        else:
            path.write_bytes(b"x" * 100_000)
    said = udockpy.output("gc", "--dry-run").splitlines()
    assert said[-1].endswith("would be free")
    assert {line.partition(": ")[0].rpartition(" ")[2] for line in said[:-1]} == {*map(str, gone)}
    rows = json.loads(udockpy.output("gc", "--json"))
    assert sum(row["size"] for row in rows) >= 800_000
    assert [path for path in gone if path.exists()] == []
    assert udockpy.output("gc") == "0 B are free"
    assert udockpy.output("run", "--rm", pulled, "/bin/cat", "/etc/issue") == "zoo"


def test_what_can_be_made_again_is_freed_on_demand(udockpy: Udockpy, pulled: str) -> None:
    tree = Path(image_of(udockpy, pulled)["rootfs"])
    container = udockpy.output("create", pulled)
    assert udockpy.output("cache", "clean") == "0 B are free"  # the container was made from it
    udockpy.output("rm", container)
    assert "tree" in udockpy.output("cache", "clean", "--dry-run")
    assert tree.is_dir()
    assert str(tree.parent) in udockpy.output("cache", "clean")
    assert not tree.exists()
    assert udockpy.output("run", "--rm", pulled, "/bin/cat", "/etc/issue") == "zoo"


def test_trees_of_files_go_with_the_files(udockpy: Udockpy, box: Path) -> None:
    files = udockpy.home / "files"
    udockpy.output("build", "kept.sqsh", box)
    udockpy.output("build", "gone.sqsh", box / "etc")
    for name in ("kept.sqsh", "gone.sqsh"):
        assert udockpy("exec", name, "/none").returncode == 127
    assert len(list(files.iterdir())) == 6
    (udockpy.cwd / "gone.sqsh").unlink()
    assert len(udockpy.output("gc").splitlines()) == 4
    assert len(list(files.iterdir())) == 3
    assert udockpy.output("exec", "kept.sqsh", "/bin/cat", "/etc/issue") == "guest"
    assert len(udockpy.output("gc", "--all").splitlines()) == 4
    assert list(files.iterdir()) == []
    assert udockpy.output("exec", "kept.sqsh", "/bin/cat", "/etc/issue") == "guest"


def test_nothing_is_freed_while_somebody_adds(udockpy: Udockpy, pulled: str) -> None:
    import fcntl

    with (udockpy.home / "locks/store").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert "another process is adding to it" in udockpy.refusal("gc")
    udockpy.output("gc")


def test_what_is_damaged_is_told_and_mended(udockpy: Udockpy, zoo: Zoo, pulled: str) -> None:
    assert udockpy.output("verify") == f"{pulled}: good"
    udockpy.output("tag", pulled, "mine:1")
    below, top = layers(udockpy, pulled)[0], layers(udockpy, pulled)[-1]
    spoil(blob(udockpy, below))
    blob(udockpy, top).unlink()
    done = udockpy("verify", "--no-mend")
    assert done.returncode == 125
    for line in done.stdout.decode().splitlines():
        assert f"blob {below} is damaged" in line
        assert f"blob {top} is missing" in line
    said = udockpy.output("verify", "--insecure").splitlines()
    assert [line.partition(": ")[2].partition(":")[0] for line in said] == ["mended", "good"]
    config = json.loads(udockpy.output("inspect", pulled))[0]["manifest"]["config"]["digest"]
    for digest in (image_of(udockpy, pulled)["digest"], config):
        spoil(blob(udockpy, digest))
        assert "is damaged" in udockpy.refusal("inspect", pulled)
        assert ": mended: blob" in udockpy.output("verify", "--insecure")
    assert udockpy.output("verify").count(": good") == 2


def test_what_came_from_a_file_cannot_be_mended(udockpy: Udockpy, zoo: Zoo) -> None:
    name = udockpy.output("pull", "-q", f"oci:{zoo.layout}:base", "own:1")
    spoil(blob(udockpy, layers(udockpy, name)[0]))
    done = udockpy("verify", "--json")
    (verdict,) = json.loads(done.stdout)
    assert done.returncode == 125
    assert "is damaged: not mended: it came from no registry" in verdict["problem"]
    assert not verdict["mended"]


def test_damaged_trees_are_unpacked_again(udockpy: Udockpy, pulled: str) -> None:
    rootfs = Path(image_of(udockpy, pulled)["rootfs"])
    issue = rootfs / "etc/issue"
    before = issue.stat()
    issue.chmod(0o644)
    issue.write_text("ZOO\n")
    issue.chmod(before.st_mode & 0o7777)
    os.utime(issue, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert udockpy.output("verify") == f"{pulled}: good"  # only fresh files tell
    assert udockpy.output("verify", "--trees") == f"{pulled}: mended: its tree"
    assert issue.read_text() == "zoo\n"
    fakedb = rootfs.parent / "fakedb"
    with fakedb.open("r+b") as file:
        (entries,) = struct.unpack_from("=Q", file.read(64), 56)  # docs/reference/fakedb.md
        file.seek(entries + 64)
        file.write(b"\xff" * 64 * 64)
    assert udockpy.output("verify") == f"{pulled}: mended: its tree"
    assert udockpy.output("verify", "--trees") == f"{pulled}: good"
