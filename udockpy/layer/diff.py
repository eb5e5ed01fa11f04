"""What a tree has that another one has not, and that as the members of a layer.

Names are compared by all that a layer can hold. Times of files count, and so do their contents
where everything else is the same: packages are built with one time for all of their files.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from udockpy.errors import ArchiveError
from udockpy.layer.layers import WHITEOUT
from udockpy.layer.member import Kind, Member
from udockpy.layer.tree_reader import folded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK = 1 << 18


class How(enum.Enum):
    """What became of a name; the value is the letter that docker shows."""

    ADDED = "A"
    CHANGED = "C"
    DELETED = "D"


class Change(NamedTuple):
    """A name that differs."""

    how: How
    name: str  # as in Member


def compare(
    lower: Iterable[Member], upper: Iterable[Member], *, same_tree: bool = False
) -> list[Change]:
    """What makes the tree `upper` of `lower`, both as TreeReader.names() yields them, in the order
    of names. With `same_tree`, `lower` is what the tree itself was, whose contents are no more:
    then another file in the place of one is a change.

    Of a directory that is gone nothing below is told. A directory in which something changed is
    changed itself: tools that lay layers over each other take it from the uppermost that has it.
    """
    links = _Links()
    changes: dict[str, How] = {}
    gone = ""  # what hides all that was below it
    for old, new in _pairs(lower, upper):
        if new is None:
            assert old is not None
            if not (gone and old.name.startswith(f"{gone}/")):
                changes[old.name], gone = How.DELETED, old.name
        elif old is None:
            changes[new.name] = How.ADDED
            links.add_new(new)
        else:
            if _differs(old, new, same_tree=same_tree):
                changes[new.name] = How.CHANGED
            if old.kind is Kind.DIRECTORY and new.kind is not Kind.DIRECTORY:
                gone = new.name
            links.add_old(old)
            links.add_new(new)
    changes = {**dict.fromkeys(links.moved(), How.CHANGED), **changes}
    changes = {**dict.fromkeys(_parents(changes), How.CHANGED), **changes}
    return [Change(changes[name], name) for name in sorted(changes, key=_order)]


def layer(
    upper: Iterable[Member], changes: Iterable[Change], *, newest: int | None = None
) -> Iterator[Member]:
    """The members of the layer that makes these changes; `upper` is read a second time, as
    TreeReader.names() yields it.

    A file with several names is there with all of them, since a link to a layer below is not for
    every tool. No time is after `newest`, in seconds since 1970.
    """
    deleted, wanted = [], set()
    for change in changes:
        if change.how is How.DELETED:
            deleted.append(change.name)
        else:
            wanted.add(change.name)
    removals = iter(sorted(deleted, key=_order))
    removal = next(removals, None)
    for member in folded(member for member in upper if member.name in wanted):
        while removal is not None and _order(removal) < _order(member.name):
            yield _whiteout(removal)
            removal = next(removals, None)
        if member.name.rpartition("/")[2].startswith(WHITEOUT):
            reason = f"in a layer, {WHITEOUT} at the beginning means that something is removed"
            raise ArchiveError("cannot make a layer", member.name, reason, hint="rename it")
        yield member if newest is None else _no_later(member, newest)
    while removal is not None:
        yield _whiteout(removal)
        removal = next(removals, None)


class _Links:
    """Which names are one file, before and after."""

    def __init__(self) -> None:
        self.old: dict[str, tuple[int, int]] = {}
        self.new: dict[str, tuple[int, int]] = {}

    def add_old(self, member: Member) -> None:
        if member.links > 1:
            self.old[member.name] = member.inode

    def add_new(self, member: Member) -> None:
        if member.links > 1:
            self.new[member.name] = member.inode

    def moved(self) -> Iterator[str]:
        """Names that were, or are, one file with others than now, or than before."""
        yield from _split(self.old, self.new)
        yield from _split(self.new, self.old)


def _split(one: dict[str, tuple[int, int]], other: dict[str, tuple[int, int]]) -> Iterator[str]:
    """The names of each file in `one` that are several files in `other`."""
    names_of: dict[tuple[int, int], list[str]] = {}
    for name, inode in one.items():
        names_of.setdefault(inode, []).append(name)
    for names in names_of.values():
        if len(names) > 1 and len({other.get(name, name) for name in names}) > 1:
            yield from names


def _pairs(
    lower: Iterable[Member], upper: Iterable[Member]
) -> Iterator[tuple[Member | None, Member | None]]:
    """The members of both that have one name; None for who has none of that name."""
    below, above = iter(lower), iter(upper)
    old, new = next(below, None), next(above, None)
    while old is not None or new is not None:
        if new is None or (old is not None and _order(old.name) < _order(new.name)):
            yield old, None
            old = next(below, None)
        elif old is None or _order(new.name) < _order(old.name):
            yield None, new
            new = next(above, None)
        else:
            yield old, new
            old, new = next(below, None), next(above, None)


def _order(name: str) -> list[str]:
    """Directories before what they hold, and that before what comes after them."""
    return name.split("/") if name else []


def _differs(old: Member, new: Member, *, same_tree: bool) -> bool:
    if _told(old) != _told(new):
        return True
    if new.kind is not Kind.FILE or old.inode == new.inode:
        return False
    return same_tree or not _same_content(old, new)


def _told(member: Member) -> tuple[object, ...]:
    """All of a member but its content. The root's time is nothing that a layer has to hold."""
    mtime_ns = member.mtime_ns if member.name else 0
    said = (member.kind, member.mode, member.uid, member.gid, mtime_ns, member.size)
    return (*said, member.link, member.rdev, member.xattrs)


def _same_content(old: Member, new: Member) -> bool:
    assert old.content is not None
    assert new.content is not None
    with old.content() as before, new.content() as now:
        while chunk := before.read(CHUNK):
            if chunk != now.read(CHUNK):
                return False
    return True


def _parents(names: Iterable[str]) -> Iterator[str]:
    """The directories on the way to names, but for the root."""
    for name in names:
        while "/" in name:
            name = name.rpartition("/")[0]
            yield name


def _whiteout(removed: str) -> Member:
    folder, slash, name = removed.rpartition("/")
    return Member(f"{folder}{slash}{WHITEOUT}{name}", Kind.FILE, mode=0)


def _no_later(member: Member, newest: int) -> Member:
    return member._replace(mtime_ns=min(member.mtime_ns, newest * 1_000_000_000))
