"""Imported images: images/NAME holds an unpacked tree that is never changed."""

from __future__ import annotations

import os
from typing import Callable, NamedTuple

from udockpy import home as homes
from udockpy.errors import BusyError, TargetError
from udockpy.home import Home
from udockpy.store import names
from udockpy.store.tree import Tree, tree_in
from udockpy.util import atomic, tree


class Image(NamedTuple):
    """An image of the store."""

    name: str
    folder: str

    @property
    def tree(self) -> Tree:
        return tree_in(self.folder)


def find(home: Home, name: str) -> Image | None:
    """The image of that name."""
    folder = os.path.join(home.images, name)
    return Image(name, folder) if names.VALID.fullmatch(name) and os.path.isdir(folder) else None


def listing(home: Home) -> list[Image]:
    """All images by name."""
    try:
        found = sorted(os.listdir(home.images))
    except FileNotFoundError:
        return []
    return [
        Image(name, os.path.join(home.images, name)) for name in found if not name.startswith(".")
    ]


def add(home: Home, name: str, fill: Callable[[Tree], None]) -> Image:
    """Makes an image, with the tree that `fill` makes. It appears when that is complete."""
    names.check(name)
    _refuse_taken(home, name)
    folder = os.path.join(homes.make(home.images), name)
    with atomic.new_directory(folder) as scratch:
        fill(tree_in(scratch))
    return Image(name, folder)


def remove(home: Home, name: str) -> None:
    """Removes an image; containers made from it stay."""
    image = find(home, name)
    if image is None:
        raise TargetError("cannot remove", name, "no such image")
    tree.discard(image.folder)


def _refuse_taken(home: Home, name: str) -> None:
    if find(home, name):
        raise BusyError(
            "cannot import", name, "the name is taken", hint=f"remove it first: udockpy rmi {name}"
        )
