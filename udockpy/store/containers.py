"""Containers: containers/ID is an OCI bundle (config.json, rootfs/) with its fakedb; names/NAME
links to it.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Callable, NamedTuple

from udockpy import home as homes
from udockpy.errors import BusyError, TargetError
from udockpy.home import Home
from udockpy.store import names
from udockpy.store.tree import Tree, tree_in
from udockpy.util import atomic, tree

IMAGE = "org.udockpy.image"
MANIFEST = "org.udockpy.manifest"
PROTECTED = "org.udockpy.protected"
NAME = "org.udockpy.name"


class Container(NamedTuple):
    """A container of the store."""

    id: str
    folder: str

    @property
    def tree(self) -> Tree:
        return tree_in(self.folder)

    @property
    def lower(self) -> str:
        """Of one that lies over its image: a link to the folder of that."""
        return os.path.join(self.folder, "lower")

    @property
    def image_config(self) -> str:
        """The file with the configuration of its image, if that had one."""
        return os.path.join(self.folder, "image.json")


class Description(NamedTuple):
    """What `ps -a` tells of a container."""

    id: str
    name: str
    image: str
    protected: bool = False


def find(home: Home, name: str) -> Container | None:
    """The container of that id or name."""
    if not names.VALID.fullmatch(name):
        return None
    for folder in (os.path.join(home.containers, name), os.path.join(home.names, name)):
        if os.path.isdir(folder):
            folder = os.path.realpath(folder)
            return Container(os.path.basename(folder), folder)
    return None


def create(
    home: Home,
    fill: Callable[[Tree], None],
    *,
    image: str,
    name: str | None,
    config: bytes | None = None,
    manifest: str = "",
) -> Container:
    """Makes a container, with the tree that `fill` makes, and its image's configuration and the
    digest of its manifest. It appears when that is complete.
    """
    import json

    identifier = os.urandom(6).hex()
    folder = os.path.join(homes.make(home.containers), identifier)
    if name is not None:
        _refuse_taken(home, names.check(name))
    with atomic.new_directory(folder) as scratch:
        fill(tree_in(scratch))
        document = json.dumps(_bundle(identifier, image, manifest, name), indent=1).encode()
        atomic.write(os.path.join(scratch, "config.json"), document)
        if config is not None:
            atomic.write(Container(identifier, scratch).image_config, config)
    container = Container(identifier, folder)
    if name is not None:
        _link(home, container, name)
    return container


def listing(home: Home) -> list[Description]:
    """All containers."""
    return [_describe(home, identifier) for identifier in _identifiers(home)]


def rename(home: Home, container: Container, name: str) -> None:
    """Gives a container another name."""
    names.check(name)
    _refuse_taken(home, name)
    before = _describe(home, container.id).name
    # Killed on the way it has both names, or one that nobody noted: gc removes that.
    os.symlink(_link_text(container), os.path.join(homes.make(home.names), name))
    _annotate(container, NAME, name)
    if before:
        os.unlink(os.path.join(home.names, before))


def stale_names(home: Home) -> list[str]:
    """Paths of names that lead to no container, or to one that is called otherwise."""
    try:
        found = sorted(os.listdir(home.names))
    except FileNotFoundError:
        return []
    known = {(row.id, row.name) for row in listing(home)}
    paths = {name: os.path.join(home.names, name) for name in found}
    return [
        path
        for name, path in paths.items()
        if not name.startswith(".")
        and (os.path.basename(os.path.realpath(path)), name) not in known
    ]


def protect(home: Home, container: Container, *, on: bool) -> None:
    """Keeps a container from being removed, or no more."""
    _annotate(container, PROTECTED, "yes" if on else "")


def refuse_protected(home: Home, container: Container) -> None:
    """Nobody removes a protected container."""
    if _notes(home, container.id).get(PROTECTED):
        hint = f"udockpy unprotect {container.id}"
        raise BusyError("cannot remove", container.id, "it is protected", hint=hint)


def lowers(home: Home) -> set[str]:
    """The folders of the images that containers lie over, and cannot be without."""
    folders = (os.path.join(home.containers, name) for name in _identifiers(home))
    links = (Container("", folder).lower for folder in folders)
    return {os.path.realpath(link) for link in links if os.path.islink(link)}


def remove(home: Home, container: Container) -> None:
    """Removes a container and its name."""
    name = _describe(home, container.id).name
    tree.discard(container.folder)
    if name:
        os.unlink(os.path.join(home.names, name))


def _identifiers(home: Home) -> list[str]:
    try:
        found = sorted(os.listdir(home.containers))
    except FileNotFoundError:
        return []
    return [identifier for identifier in found if not identifier.startswith(".")]


def _link(home: Home, container: Container, name: str) -> None:
    link = os.path.join(homes.make(home.names), name)
    try:
        os.symlink(_link_text(container), link)
    except FileExistsError:
        tree.discard(container.folder)
        raise _taken(name) from None


def _link_text(container: Container) -> str:
    return os.path.join("..", "containers", container.id)


def _refuse_taken(home: Home, name: str) -> None:
    if find(home, name):
        raise _taken(name)
    link = os.path.join(home.names, name)
    if os.path.islink(link):
        os.unlink(link)  # its container went in a crash between the two removals


def _taken(name: str) -> BusyError:
    return BusyError(
        "cannot create", name, "the name is taken", hint=f"remove it first: udockpy rm {name}"
    )


def manifest(home: Home, container: Container) -> str:
    """The digest of the manifest that a container was made from; empty where that had none."""
    return _notes(home, container.id).get(MANIFEST, "")


def manifests(home: Home) -> set[str]:
    """The digests of all manifests that containers were made from."""
    found = set()
    for identifier in _identifiers(home):
        with contextlib.suppress(TargetError):  # damaged: what it needs cannot be known
            found.add(_notes(home, identifier).get(MANIFEST, ""))
    return found - {""}


def _describe(home: Home, identifier: str) -> Description:
    notes = _notes(home, identifier)
    return Description(
        identifier, notes.get(NAME, ""), notes.get(IMAGE, ""), bool(notes.get(PROTECTED))
    )


def _annotate(container: Container, key: str, value: str) -> None:
    """Sets an annotation of a container's; an empty one goes."""
    import json

    path = os.path.join(container.folder, "config.json")
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    document["annotations"].pop(key, None)
    document["annotations"] |= {key: value} if value else {}
    atomic.write(path, json.dumps(document, indent=1).encode())


def _notes(home: Home, identifier: str) -> dict[str, str]:
    import json

    path = os.path.join(home.containers, identifier, "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            notes: dict[str, str] = json.load(file)["annotations"]
    except (OSError, ValueError, KeyError) as e:
        raise TargetError(
            "cannot read the container", identifier, f"its config.json is damaged ({e})"
        ) from e
    return notes


def _bundle(identifier: str, image: str, manifest: str, name: str | None) -> dict[str, Any]:
    """The OCI runtime configuration; what runs is decided by `run`, so only the root counts."""
    notes = {IMAGE: image, **({MANIFEST: manifest} if manifest else {})}
    if name is not None:
        notes[NAME] = name
    return {
        "ociVersion": "1.0.2",
        "hostname": identifier,
        "root": {"path": "rootfs", "readonly": False},
        "process": {"cwd": "/", "args": ["/bin/sh"], "user": {"uid": 0, "gid": 0}},
        "annotations": notes,
    }
