"""Applies the layers of an image one on the other: the members of each, and its whiteouts.

A whiteout `.wh.NAME` hides NAME of the layers below, `.wh..wh..opq` all that they have in its
directory. What its own layer has stays, wherever in the layer the whiteout is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from udockpy.errors import ArchiveError
from udockpy.layer.tree_writer import TreeWriter, tree_writer
from udockpy.util import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from udockpy.layer.member import Member

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
META = ".wh..wh."  # what AUFS keeps of itself in a layer


@contextlib.contextmanager
def layer_writer(destination: str, fakedb_file: str, *, limit: int) -> Iterator[LayerWriter]:
    """Yields a writer of layers into the existing directory `destination`."""
    with tree_writer(destination, fakedb_file, limit=limit) as writer:
        yield LayerWriter(writer)


class LayerWriter:
    """Applies layers in order, the lowest first."""

    def __init__(self, writer: TreeWriter) -> None:
        self.writer = writer
        self.root = os.readlink(f"/proc/self/fd/{writer.root.fd}")
        self.lowest = True
        self.own: set[str] = set()  # what the current layer made, and the directories above it

    def apply(self, members: Iterable[Member]) -> None:
        """Applies one layer."""
        self.own.clear()
        for member in members:
            with self.writer.naming(member):
                self._apply(member)
        self.lowest = False

    def _apply(self, member: Member) -> None:
        folder, name = os.path.split(member.name)
        if name.startswith(WHITEOUT) or META in folder:
            self._whiteout(member.name, folder, name)
            return
        self.writer.write(member)
        if not self.lowest:  # nothing is below the first layer that a whiteout could hide
            # A directory is open as its own parent now.
            place = self._place()
            self._note(place if self.writer.parent == member.name else _join(place, name))

    def _whiteout(self, subject: str, folder: str, name: str) -> None:
        if name != OPAQUE and (name.startswith(META) or META in folder):
            return
        hidden = name[len(WHITEOUT) :]
        if hidden in ("", ".", ".."):
            raise ArchiveError("cannot unpack", subject, "it removes what is not in its directory")
        # Tools whiteout below what they replaced by a file, and what never was there.
        if self.lowest or not self.writer.enter_existing(folder):
            return
        place = self._place()
        if name == OPAQUE:
            self._hide_content(self.writer.parent_fd, place)
        else:
            self._hide(self.writer.parent_fd, hidden, _join(place, hidden))

    def _hide(self, parent_fd: int, name: str, path: str) -> None:
        """Removes a file or tree, but for what the current layer made in it."""
        try:
            found = os.lstat(name, dir_fd=parent_fd)
        except OSError as e:
            if e.errno in (errno.ENOENT, errno.ENAMETOOLONG):
                return
            raise
        if path not in self.own:
            tree.remove(f"/proc/self/fd/{parent_fd}/{name}")
        elif stat.S_ISDIR(found.st_mode):
            fd = os.open(name, tree.DIRECTORY, dir_fd=parent_fd)
            try:
                self._hide_content(fd, path)
            finally:
                os.close(fd)

    def _hide_content(self, fd: int, path: str) -> None:
        for name in os.listdir(fd):
            self._hide(fd, name, _join(path, name))

    def _place(self) -> str:
        """Where the writer is, below the root. The kernel's answer: a member's own name may lead
        through links.
        """
        return os.readlink(f"/proc/self/fd/{self.writer.parent_fd}")[len(self.root) :].lstrip("/")

    def _note(self, path: str) -> None:
        while path not in self.own:
            self.own.add(path)
            path = os.path.dirname(path)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
