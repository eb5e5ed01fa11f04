"""build of Dockerfiles, measured by what buildah makes of the same contexts as root."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from command import Udockpy
from support.world import World
from trees import tree
from world import contexts

from udockpy.layer.layers import layer_writer
from udockpy.layer.member import Kind, Member
from udockpy.layer.tar_reader import open_layer
from udockpy.store.layout import Layout

# What buildah puts into images by itself, or leaves there for what it binds
ITS_OWN = (
    "dev",
    "proc",
    "sys",
    "run",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "ctx",
    "cache",
    "m",
    "t",
)
KEYS = (
    *("Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "OnBuild", "Shell"),
    *("StopSignal", "User", "Volumes", "WorkingDir"),
)
# Where the Dockerfile reference says other than buildah: what of the configuration that is about
DEVIATIONS = {
    "escape": ("Env",),  # a backslash is nothing special then
    "ports-and-volumes": ("ExposedPorts",),  # a range is all of its ports
    "shell": ("Cmd", "Entrypoint"),  # are of the SHELL, too
}


class Made(NamedTuple):
    """An image that was made, by whom does not matter."""

    config: Any
    tree: dict[str, Member]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, world: World) -> Udockpy:
    """A state that has the image `base`."""
    folder = tmp_path_factory.mktemp("buildah")
    (folder / "work").mkdir()
    udockpy = Udockpy(folder / "state", folder / "work")
    udockpy.output("pull", "-q", f"dir:{world.made_by_buildah('base')}", "base")
    return udockpy


@pytest.mark.parametrize("name", sorted(contexts.CONTEXTS))
def test_the_image_is_that_of_buildah(
    store: Udockpy, world: World, name: str, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    contexts.write(contexts.CONTEXTS[name], context)
    given = [word for pair in contexts.ARGUMENTS.get(name, ()) for word in ("--build-arg", pair)]
    done = store("build", *given, "-t", name, context)
    assert done.returncode == 0, done.stderr.decode()
    ours = made_by_us(store.home, f"docker.io/library/{name}:latest", tmp_path / "ours")
    theirs = made_by_them(world.made_by_buildah(name), tmp_path / "theirs")
    deviating = DEVIATIONS.get(name, ())
    wanted = settings(theirs)
    assert {key: value for key, value in settings(ours).items() if key not in deviating} == {
        key: value for key, value in wanted.items() if key not in deviating
    }
    assert all(settings(ours)[key] != wanted[key] for key in deviating)
    assert ours.config.get("author", "") == theirs.config.get("author", "")
    assert_same(ours.tree, theirs.tree)


def made_by_us(home: Path, name: str, folder: Path) -> Made:
    layout = Layout(os.fspath(home / "images"))
    entry = layout.find(name)
    assert entry is not None
    manifest = layout.manifest(entry)
    config = json.loads(layout.content(manifest.config, name))
    return unpacked(config, [layout.blob(layer.digest) for layer in manifest.layers], folder)


def made_by_them(image: Path, folder: Path) -> Made:
    manifest = json.loads((image / "manifest.json").read_bytes())
    digests = [about["digest"].partition(":")[2] for about in manifest["layers"]]
    config = (image / manifest["config"]["digest"].partition(":")[2]).read_bytes()
    return unpacked(json.loads(config), [os.fspath(image / name) for name in digests], folder)


def unpacked(config: Any, layers: list[str], folder: Path) -> Made:
    rootfs, fakedb = os.fspath(folder / "rootfs"), os.fspath(folder / "fakedb")
    os.makedirs(rootfs)
    with layer_writer(rootfs, fakedb, limit=1 << 30) as writer:
        for path, diff_id in zip(layers, config["rootfs"]["diff_ids"]):
            with open_layer(path, diff_id) as members:
                writer.apply(members)
    found = {
        name: member
        for name, member in tree(rootfs).items()
        if name and name.split("/")[0] not in ITS_OWN and name not in ITS_OWN
    }
    return Made(config, found)


def settings(made: Made) -> dict[str, Any]:
    """How an image is run: what says nothing is left out."""
    config = made.config["config"]
    (config.get("Labels") or {}).pop("io.buildah.version", None)
    return {key: config[key] for key in KEYS if config.get(key)}


def assert_same(ours: dict[str, Member], theirs: dict[str, Member]) -> None:
    assert sorted(set(ours) - set(theirs)) == sorted(set(theirs) - set(ours)) == []
    for name, member in ours.items():
        assert told(member, theirs[name]) == told(theirs[name], theirs[name]), name


def told(member: Member, theirs: Member) -> tuple[Any, ...]:
    """Times count where they are of the context: others are of the build."""
    timed = theirs.mtime_ns == contexts.TIME * 10**9 and theirs.kind is not Kind.DIRECTORY
    return (
        member.kind,
        oct(member.mode),
        (member.uid, member.gid),
        member.size,
        member.link,
        member.rdev,
        member.mtime_ns if timed else 0,
    )
