"""Root filesystems with what is remembered of them. Images and containers are both."""

from __future__ import annotations

import os
from typing import NamedTuple

from udockpy.errors import TargetError, reason_of


class Tree(NamedTuple):
    """A root filesystem; `fakedb` need not exist."""

    rootfs: str
    fakedb: str
    mark: str = ""  # a file that is there, and shared itself, where the files of the rootfs may be
    overlay: str = ""  # the folder with upper/ and work/, of a container that lies over the rootfs

    @property
    def shared(self) -> bool:
        """Whether files may be shared."""
        return bool(self.mark) and os.path.exists(self.mark)


def tree_in(folder: str) -> Tree:
    """The tree of an image or a container."""
    return Tree(*(os.path.join(folder, name) for name in ("rootfs", "fakedb", "shared")))


def check_rootfs(path: str) -> None:
    """Refuses what cannot be a guest's root directory."""
    try:
        with os.scandir(path) as entries:
            if next(entries, None) is None:
                hint = "give the root directory of a system: it has bin, etc, usr"
                raise TargetError(
                    "cannot use as a sandbox", path, "the directory is empty", hint=hint
                )
    except OSError as e:
        hint = "give a directory that you may read, or make one with udockpy bootstrap"
        raise TargetError("cannot use as a sandbox", path, reason_of(e), hint=hint) from e
