"""commit and diff: an image of what a container changed, read by umoci, skopeo and ourselves."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from command import Udockpy
from trees import assert_same, image_of, pull, tree
from world.registry import run
from zoo import COPY, Zoo

from udockpy.layer.member import Member

CHANGES = """
set -e
cd /opt/t
busybox rm f owned
busybox rm -r dir1
busybox chown 12:34 suid
busybox chmod 2711 sgid
busybox mknod zero c 1 5
busybox ln name\\ with\\ space linked
echo new >/etc/new
busybox mkdir /srv
busybox ln -s /etc/new /srv/link
"""
DIFF = """C /etc
A /etc/new
C /opt
C /opt/t
D /opt/t/dir1
D /opt/t/f
A /opt/t/linked
C /opt/t/name with space
D /opt/t/owned
C /opt/t/sgid
C /opt/t/suid
C /opt/t/suid.hard
A /opt/t/zero
A /srv
A /srv/link"""


@pytest.fixture
def base(udockpy: Udockpy, zoo: Zoo) -> dict[str, Any]:
    return pull(udockpy, f"oci:{zoo.layout}:opaque", "zoo:1")


@pytest.fixture
def container(udockpy: Udockpy, base: dict[str, Any]) -> str:
    """A container in which much was changed."""
    made = udockpy.output("create", base["name"])
    udockpy.output("exec", "--root", made, "sh", "-c", CHANGES)
    return made


def members(rootfs: str) -> dict[str, Member]:
    """A tree, but for what two trees never share; and the root's time is in no layer."""
    return {
        name: member._replace(
            content=None, inode=(0, 0), links=1, mtime_ns=member.mtime_ns if name else 0
        )
        for name, member in tree(rootfs).items()
    }


def rootfs_of(udockpy: Udockpy, container: str) -> str:
    return os.fspath(udockpy.home / "containers" / container / "rootfs")


def documents(udockpy: Udockpy, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Manifest and configuration."""
    (found,) = json.loads(udockpy.output("inspect", name))
    return found["manifest"], found["config"]


def test_what_was_changed_is_told(udockpy: Udockpy, container: str) -> None:
    assert udockpy.output("diff", container) == DIFF
    first = json.loads(udockpy.output("diff", "--json", container))[0]
    assert first == {"kind": "C", "path": "/etc"}


def test_nothing_is_changed_by_running(udockpy: Udockpy, base: dict[str, Any]) -> None:
    made = udockpy.output("create", base["name"])
    udockpy.output("exec", "--root", made, "sh", "-c", "cat /etc/issue; ls -l /opt")
    udockpy.output("exec", made, "ls", "/")
    assert udockpy.output("diff", made) == ""
    udockpy.output("commit", made, "same:1")
    manifest, config = documents(udockpy, "same:1")
    assert manifest["layers"] == documents(udockpy, base["name"])[0]["layers"]
    assert config["history"][-1]["empty_layer"]


def test_an_image_of_a_container_is_its_tree(
    udockpy: Udockpy, zoo: Zoo, base: dict[str, Any], container: str, tmp_path: Path
) -> None:
    assert udockpy.output("commit", container, "changed") == "docker.io/library/changed:latest"
    row = image_of(udockpy, "docker.io/library/changed:latest")
    manifest, _ = documents(udockpy, "changed")
    below = documents(udockpy, base["name"])[0]["layers"]
    assert manifest["layers"][:-1] == below
    assert udockpy.output("run", "--rm", "changed", "cat", "/srv/link") == "new"
    assert members(row["rootfs"]) == members(rootfs_of(udockpy, container))
    layout = f"{udockpy.home}/images"
    bundle = tmp_path / "umoci"
    run("umoci", "unpack", "--rootless", "--image", f"{layout}:{row['name']}", bundle)
    # umoci without root makes no devices; that of the base is looked at for its number.
    assert (bundle / "rootfs/opt/t/zero").is_file()
    (bundle / "rootfs/opt/t/zero").unlink()
    os.unlink(f"{row['rootfs']}/opt/t/zero")
    os.utime(bundle / "rootfs/opt/t", ns=(0, 0))
    os.utime(f"{row['rootfs']}/opt/t", ns=(0, 0))
    assert_same(row["rootfs"], bundle / "rootfs")


def test_what_was_committed_goes_to_a_registry_and_comes_back(
    udockpy: Udockpy, zoo: Zoo, container: str, tmp_path: Path
) -> None:
    udockpy.output("commit", container, "mine:2")
    reference = zoo.reference("committed:1")
    udockpy.output("push", "-q", "--insecure", "mine:2", reference)
    other = Udockpy(tmp_path / "other", udockpy.cwd)
    row = pull(other, "--insecure", reference)
    assert members(row["rootfs"]) == members(rootfs_of(udockpy, container))
    source = f"docker://{reference}"
    run(*COPY, "--src-tls-verify=false", source, f"docker-archive:{tmp_path}/docker.tar:a:1")
    run(*COPY, "--src-tls-verify=false", "--format", "v2s2", source, f"dir:{tmp_path}/dir")
    layer = json.loads((tmp_path / "dir/manifest.json").read_text())["layers"][-1]["digest"]
    blob = tmp_path / "dir" / layer.partition(":")[2]
    listed = subprocess.run(["tar", "-tzf", blob], check=True, capture_output=True).stdout
    assert {b"./opt/t/.wh.f", b"./opt/t/.wh.dir1", b"./srv/link"} <= set(listed.splitlines())


def test_what_an_image_is_to_say(udockpy: Udockpy, container: str) -> None:
    changes = ('CMD ["/bin/cat", "/etc/new"]', "ENV GREETING='hi there'", "LABEL a=b")
    words = [word for change in changes for word in ("--change", change)]
    udockpy.environ["SOURCE_DATE_EPOCH"] = "1000000000"
    udockpy.output("commit", "-m", "why", "-a", "me", *words, container, "said:1")
    _, config = documents(udockpy, "said:1")
    assert config["created"] == "2001-09-09T01:46:40Z"
    assert config["author"] == "me"
    assert config["history"][-1]["comment"] == "why"
    assert config["config"]["Env"][-1] == "GREETING=hi there"
    assert config["config"]["Labels"] == {"a": "b"}
    assert "ZOO=yes" in config["config"]["Env"]  # the base's
    assert udockpy.output("run", "--rm", "said:1") == "new"
    assert "not understood" in udockpy.refusal("commit", "-c", "RUN true", container, "bad")


def test_the_same_changes_are_the_same_image(udockpy: Udockpy, base: dict[str, Any]) -> None:
    udockpy.environ["SOURCE_DATE_EPOCH"] = "1500000000"
    digests = set()
    for number in range(2):
        made = udockpy.output("create", base["name"])
        udockpy.output("exec", "--root", made, "sh", "-c", CHANGES)
        udockpy.output("commit", made, f"built:{number}")
        digests.add(image_of(udockpy, f"docker.io/library/built:{number}")["digest"])
    assert len(digests) == 1


def test_a_container_without_layers_below_is_one_layer(udockpy: Udockpy, image: str) -> None:
    made = udockpy.output("create", image)
    udockpy.output("exec", "--root", made, "chown", "1:2", "/etc/issue")
    udockpy.output("commit", made, "whole:1")
    manifest, config = documents(udockpy, "whole:1")
    assert len(manifest["layers"]) == len(config["rootfs"]["diff_ids"]) == 1
    assert udockpy.output("exec", "whole:1", "cat", "/etc/issue") == "guest"
    rootfs = image_of(udockpy, "docker.io/library/whole:1")["rootfs"]
    assert members(rootfs) == members(rootfs_of(udockpy, made))
    assert "has no layers" in udockpy.refusal("diff", made)


def test_a_container_keeps_what_it_was_made_from(udockpy: Udockpy, container: str) -> None:
    udockpy.output("rmi", "zoo:1")
    assert udockpy.output("diff", container) == DIFF
    udockpy.output("commit", container, "kept:1")
    assert len(documents(udockpy, "kept:1")[0]["layers"]) == 4
    udockpy.output("rm", container)
    udockpy.output("rmi", "kept:1")
    assert not any((udockpy.home / "images/blobs/sha256").iterdir())


def test_names_and_containers_that_will_not_do(
    udockpy: Udockpy, image: str, container: str
) -> None:
    assert "no such container" in udockpy.refusal("commit", "none", "a:1")
    assert "no such container" in udockpy.refusal("diff", "none")
    assert "an imported image has the name" in udockpy.refusal("commit", container, image)
    assert "no name that can be given" in udockpy.refusal(
        "commit", container, f"a@{'sha256:' + 'a' * 64}"
    )
    words = udockpy.words("exec", container, "/bin/cat")
    with subprocess.Popen(
        words,
        env=udockpy.environ,
        cwd=udockpy.cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as guest:
        assert guest.stdin is not None
        assert guest.stdout is not None
        guest.stdin.write(b"runs\n")
        guest.stdin.flush()
        assert guest.stdout.readline() == b"runs\n"
        assert "runs in it" in udockpy.refusal("commit", container, "a:1")
        guest.stdin.close()
