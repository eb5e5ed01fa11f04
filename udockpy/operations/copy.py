"""cp: files between containers and the host, with the owners that they have for the guest."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from typing import NamedTuple

from udockpy import home as homes
from udockpy.errors import ArchiveError, BusyError, TargetError, UsageError, reason_of
from udockpy.layer.member import Kind, Member, clean_name
from udockpy.layer.tar_reader import open_tar
from udockpy.layer.tar_writer import write_tar
from udockpy.layer.tree_reader import folded, open_tree
from udockpy.layer.tree_writer import write_tree
from udockpy.store import containers
from udockpy.util.beneath import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from udockpy.home import Home

STREAM = "-"
HINT = "write CONTAINER:PATH for one of the two; a file of this directory is written ./NAME"


class Copy(NamedTuple):
    """What to copy where: paths of the host, CONTAINER:PATH, or - for a tar archive."""

    source: str
    target: str
    archive: bool = False  # keep the owners; else all is root's
    follow: bool = False  # copy what a link leads to


class _Place(NamedTuple):
    """A path beneath a root directory: the host's, or a container's."""

    said: str  # by the user
    root: str
    path: str
    fakedb: str = ""

    @property
    def in_container(self) -> bool:
        return self.root != "/"

    def mode(self, *, follow: bool = True) -> int:
        """The st_mode of what is there; 0 where there is nothing."""
        try:
            with Root(self.root) as root:
                fd, name = root.locate(self.path, follow=follow)
                try:
                    return os.lstat(name, dir_fd=fd).st_mode
                finally:
                    os.close(fd)
        except FileNotFoundError:
            return 0
        except OSError as e:
            raise TargetError("cannot copy", self.said, reason_of(e)) from e


def copy(options: Copy, environ: Mapping[str, str]) -> None:
    """Copies a file, or a directory with all that it holds."""
    home = homes.find(environ)
    source, target = _place(home, options.source), _place(home, options.target)
    if sum(place is not None and place.in_container for place in (source, target)) != 1:
        words = f"{options.source} {options.target}"
        raise UsageError("cannot copy", words, "one of the two must be in a container", hint=HINT)
    with contextlib.ExitStack() as stack:
        if source is None:
            assert target is not None
            if not stat.S_ISDIR(target.mode()):
                raise TargetError("cannot unpack", target.said, "no such directory")
            found, place = stack.enter_context(open_tar(STREAM)), _path(target)
        else:
            source, name = _source(source, follow=options.follow)
            place = _path(target, source) if target else name
            reader = stack.enter_context(open_tree(source.root, source.fakedb))
            found = folded(reader.names(source.path))
            found = _moved(found, clean_name(source.path), "")
        members = _moved(found, "", place)
        if target is None:
            _check_stream()
            write_tar(members, sys.stdout.buffer)
        elif target.in_container:
            write_tree(_checked(_owned(members, options), target), target.root, target.fakedb)
        else:
            _write_on_host(_checked(members, target), target)


def _place(home: Home, word: str) -> _Place | None:
    """What a word means; None for a stream."""
    if word == STREAM:
        return None
    name, colon, path = word.partition(":")
    if not colon or word.startswith(("/", ".")):
        return _Place(word, "/", os.path.abspath(word) + ("/." if word.endswith("/.") else ""))
    container = containers.find(home, name)
    if container is None:
        raise TargetError("cannot copy", name, "no such container", hint="see udockpy ps -a")
    return _Place(word, container.tree.rootfs, path or "/", container.tree.fakedb)


def _source(place: _Place, *, follow: bool) -> tuple[_Place, str]:
    """A source that is there, by the directories that it really is in, and its name in a stream."""
    if not place.mode(follow=follow or place.path.endswith("/")):
        raise TargetError("cannot copy", place.said, "no such file or directory")
    name = os.path.basename(os.path.normpath(place.path)) or "."
    with Root(place.root) as root:
        fd, last = root.locate(place.path, follow=follow or place.path.endswith("/"))
        try:
            base = os.readlink(f"/proc/self/fd/{root.fd}").rstrip("/")
            real = os.path.join(os.readlink(f"/proc/self/fd/{fd}")[len(base) :], last)
        finally:
            os.close(fd)
    said = place.said if not place.said.endswith("/") else place.said[:-1]
    return place._replace(path=os.path.normpath(real), said=said), name


def _path(target: _Place, source: _Place | None = None) -> str:
    """Where the top of what is copied comes to be: by the rules of docker cp and cp(1)."""
    there = target.mode()
    if source is None:
        return clean_name(target.path)
    is_dir = stat.S_ISDIR(source.mode(follow=False))
    if stat.S_ISDIR(there):
        content_only = is_dir and source.said.endswith("/.")
        name = "" if content_only else os.path.basename(source.path)
        return clean_name(os.path.join(target.path, name))
    if there and is_dir:
        raise BusyError("cannot copy", target.said, "a file, where a directory is to be")
    parent = target._replace(path=os.path.dirname(target.path.rstrip("/")) or "/")
    if not stat.S_ISDIR(parent.mode()) or (target.path.endswith("/") and not is_dir):
        raise TargetError("cannot copy", target.said, "no such directory")
    return clean_name(target.path)


def _moved(members: Iterable[Member], base: str, top: str) -> Iterator[Member]:
    """The members with `top` instead of `base` at the beginning of their names."""

    def moved(name: str) -> str:
        rest = name[len(base) :].lstrip("/")
        return "/".join(filter(None, (top, rest)))

    for member in members:
        link = moved(member.link) if member.kind is Kind.HARDLINK else member.link
        yield member._replace(name=moved(member.name), link=link)


def _owned(members: Iterable[Member], options: Copy) -> Iterator[Member]:
    for member in members:
        yield member if options.archive else member._replace(uid=0, gid=0)


def _checked(members: Iterable[Member], target: _Place) -> Iterator[Member]:
    """Refuses to put a file in the place of a directory, or the other way round."""
    for member in members:
        there = target._replace(path=f"/{member.name}").mode(follow=False)
        if there and stat.S_ISDIR(there) != (member.kind is Kind.DIRECTORY) and member.name:
            kind = "a directory" if stat.S_ISDIR(there) else "a file"
            raise BusyError("cannot copy", f"/{member.name}", f"{kind} is there")
        yield member


def _write_on_host(members: Iterable[Member], target: _Place) -> None:
    """Files are the user's there, without the bits that would mean somebody else."""

    def real() -> Iterator[Member]:
        for member in members:
            if member.kind in (Kind.CHARACTER, Kind.BLOCK):
                hint = "copy it as a tar archive: use - as the target"
                reason = "only root can make devices"
                raise ArchiveError("cannot copy", f"/{member.name}", reason, hint=hint)
            yield member

    with tempfile.TemporaryDirectory(prefix="udockpy-") as scratch:
        write_tree(real(), target.root, os.path.join(scratch, "fakedb"))


def _check_stream() -> None:
    if sys.stdout.isatty():
        reason, hint = "standard output is a terminal", "use a pipe"
        raise UsageError("cannot copy", STREAM, reason, hint=hint)
