"""COPY and ADD: which files, and where they go."""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
import tarfile
from typing import BinaryIO, Callable, NamedTuple

from udockpy.build import copying, rootfs
from udockpy.build.dockerfile.ignore import Ignore
from udockpy.container import guest, users
from udockpy.errors import ArchiveError, UserError
from udockpy.layer.member import Kind, Member
from udockpy.store.tree import Tree
from udockpy.util.beneath import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


CHUNK = 1 << 20
NOTHING = Ignore()


class Source(NamedTuple):
    """Something to copy."""

    name: str  # its last part
    members: tuple[Member, ...]  # the first is itself
    archive: str = ""  # the archive that it is: a path of the host

    @property
    def is_directory(self) -> bool:
        return self.members[0].kind is Kind.DIRECTORY


class Owner(NamedTuple):
    uid: int
    gid: int


class Place(NamedTuple):
    """Where copies go, and what becomes of them."""

    tree: Tree
    target: str  # absolute; with a slash at the end it is a directory
    owner: Owner | None  # None: their own
    mode: int | None
    now: int


def of_context(context: str, ignore: Ignore, pattern: str) -> list[Source]:
    """What a pattern names in the context, without what is ignored; all becomes root's."""
    tree = Tree(context, "")
    found = []
    for path in copying.matches(tree, pattern, hidden=True):
        inside = path.strip("/")
        with copying.of_tree(tree, path, links=False) as members:
            shown = _shown(members, ignore, inside)
        kept = tuple(member._replace(uid=0, gid=0, inode=(0, 0), links=1) for member in shown)
        if kept and not kept[0].name:
            real = _real_path(context, path) if kept[0].kind is Kind.FILE else ""
            found.append(Source(posixpath.basename(inside), _openable(kept, context, path), real))
    return found


def _shown(members: Iterable[Member], ignore: Ignore, inside: str) -> list[Member]:
    """What is not ignored, and the directories on the way to it."""
    found = list(members)
    names = {
        member.name
        for member in found
        if not ignore.hides(posixpath.join(inside, member.name).rstrip("/"))
    }
    for name in list(names):
        while name:
            name = posixpath.dirname(name)
            names.add(name)
    return [member for member in found if member.name in names]


def of_tree(tree: Tree, pattern: str) -> list[Source]:
    """What a pattern names in another stage or image."""
    found = []
    for path in copying.matches(tree, pattern, hidden=True):
        with copying.of_tree(tree, path) as members:
            kept = _openable(tuple(members), tree.rootfs, path)
        found.append(Source(posixpath.basename(path.rstrip("/")), kept))
    return found


def text(name: str, content: str, now: int) -> Source:
    """A here-document."""
    return Source(name, (rootfs.file("", content, now),))


def fingerprint(sources: list[Source]) -> str:
    """A digest of everything about files but their times."""
    state = hashlib.sha256()
    for source in sources:
        state.update(repr(source.name).encode())
        for member in source.members:
            about = member._replace(mtime_ns=0, content=None, inode=(0, 0))
            state.update(repr(about).encode("utf-8", "surrogateescape"))
            if member.content is not None:
                with member.content() as content:
                    while chunk := content.read(CHUNK):
                        state.update(chunk)
    return state.hexdigest()


def put(sources: list[Source], place: Place, *, unpack: bool) -> None:
    """Copies; with `unpack`, what archives hold instead of them."""
    tree, target = place.tree, place.target
    into = target.endswith("/") or rootfs.is_directory(tree, target)
    for source in sources:
        if unpack and source.archive and _is_archive(source.archive):
            _unpack(source.archive, place)
            continue
        name = target.strip("/")
        if into and not source.is_directory:
            name = f"{name}/{source.name}".lstrip("/")
        above = name if source.is_directory else posixpath.dirname(name)
        folders = rootfs.missing_folders(tree, above, place.now) if above else []
        rootfs.put(tree, [_changed(folder, place._replace(mode=None)) for folder in folders])
        members = _without_root(source.members, tree, name)
        rootfs.put(tree, (_changed(member, place) for member in copying.moved(members, name)))


def owner(text: str, tree: Tree) -> Owner:
    """Reads USER[:GROUP] as the image knows it. ValueError for who is unknown."""
    try:
        identity, _ = users.resolve(text, guest.accounts(tree.rootfs))
    except UserError as e:
        raise ValueError(str(e)) from None
    return Owner(identity.uid, identity.gid)


def _without_root(members: Iterable[Member], tree: Tree, name: str) -> Iterator[Member]:
    """A directory that is copied into one that is there leaves that as it is."""
    is_there = rootfs.is_directory(tree, name)
    return (member for member in members if member.name or not is_there)


def _changed(member: Member, place: Place) -> Member:
    if place.owner is not None:
        member = member._replace(uid=place.owner.uid, gid=place.owner.gid)
    if place.mode is not None and member.kind is not Kind.SYMLINK:
        member = member._replace(mode=place.mode)
    return member


def _unpack(archive: str, place: Place) -> None:
    from udockpy.layer.tar_reader import open_tar

    target = place.target.strip("/")
    rootfs.put(place.tree, rootfs.missing_folders(place.tree, target, place.now))
    with open_tar(archive) as members:
        kept = _without_root(members, place.tree, target)
        rootfs.put(place.tree, copying.moved(kept, target))


def _is_archive(path: str) -> bool:
    from udockpy.layer.tar_reader import open_tar

    try:
        with open_tar(path) as members:
            return next(members, None) is not None
    except (ArchiveError, OSError, tarfile.TarError):
        return False


def _real_path(context: str, path: str) -> str:
    """Where a file of the context is, links in it followed without leaving it."""
    with Root(context) as root:
        parent, name = root.locate(path, follow=True)
        try:
            return os.path.join(os.readlink(f"/proc/self/fd/{parent}"), name)
        finally:
            os.close(parent)


def _openable(members: tuple[Member, ...], context: str, path: str) -> tuple[Member, ...]:
    """Members whose contents can be read at any time, and more than once."""
    return tuple(
        member
        if member.content is None
        else member._replace(
            content=_opener(context, posixpath.join(path, member.name).rstrip("/"))
        )
        for member in members
    )


def _opener(tree: str, path: str) -> Callable[[], BinaryIO]:
    def open_again() -> BinaryIO:
        with Root(tree) as root:
            return io.FileIO(root.open(path))

    return open_again
