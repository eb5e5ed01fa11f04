"""What a TARGET on the command line means: a sandbox directory, a container or an image."""

from __future__ import annotations

import os
from typing import NamedTuple

from udockpy.errors import TargetError
from udockpy.home import Home
from udockpy.store import containers, images, sandboxes
from udockpy.store.tree import Tree, check_rootfs, tree_in

SANDBOX, CONTAINER, IMAGE = "sandbox", "container", "image"


class Target(NamedTuple):
    """Something that can be run or exported."""

    kind: str
    name: str  # as the user knows it: path, id or image name
    tree: Tree
    state: str  # the folder of what is remembered; made on the first run of a sandbox


def find(home: Home, word: str) -> Target:
    """Resolves a TARGET; an existing directory beats a name."""
    if is_path(word):
        return _sandbox(home, word)
    container = containers.find(home, word)
    if container:
        return of_container(refuse_layer(container))
    image = images.find(home, word)
    if image:
        return of_image(image)
    hint = "see udockpy images and udockpy ps -a; a directory of this one is written ./NAME"
    raise TargetError(
        "cannot find", word or "(empty)", "no such sandbox, container or image", hint=hint
    )


def is_path(word: str) -> bool:
    """Whether a TARGET is a path: what begins as one, and what is there."""
    return word.startswith(("/", "./", "../")) or word in (".", "..") or os.path.isdir(word)


def of_image(image: images.Image) -> Target:
    return Target(IMAGE, image.name, image.tree, image.folder)


def of_container(container: containers.Container) -> Target:
    """A container; one that lies over its image is for the run that made it."""
    tree = container.tree
    if os.path.islink(container.lower):
        image = tree_in(os.path.realpath(container.lower))
        tree = image._replace(fakedb=tree.fakedb, overlay=container.folder)
    return Target(CONTAINER, container.id, tree, container.folder)


def refuse_layer(container: containers.Container) -> containers.Container:
    """Nobody else can use what only that run sees."""
    if os.path.islink(container.lower):
        reason = "it lies over its image, which only the run that made it sees"
        hint = "run the image without --rm"
        raise TargetError("cannot use", container.id, reason, hint=hint)
    return container


def _sandbox(home: Home, word: str) -> Target:
    rootfs = os.path.abspath(word)
    if os.path.isfile(rootfs):
        hint = f"import it: udockpy import {word} NAME"
        raise TargetError(
            "cannot use as a sandbox", word, "a file, where a directory is needed", hint=hint
        )
    check_rootfs(rootfs)
    return Target(
        SANDBOX, rootfs, sandboxes.tree_of(home, rootfs), sandboxes.folder_of(home, rootfs)
    )
