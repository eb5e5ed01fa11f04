"""A container's tree made of hard links to the shared files of its image's: nothing is copied but
directories, and what has no content.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from udockpy.layer import fakedb as fakedbs
from udockpy.layer.fakedb import Fakedb, key_of
from udockpy.layer.shared import is_shared, own_mode
from udockpy.layer.tree_writer import copy_content
from udockpy.util.atomic import scratch_name
from udockpy.util.tree import DIRECTORY

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def link_tree(source: str, source_fakedb: str, target: str, target_fakedb: str) -> None:
    """Fills the existing, empty directory `target` with links to the tree `source`, which nobody
    changes. OSError where the filesystem cannot make them.
    """
    fakedbs.clone(source_fakedb, target_fakedb)
    with Fakedb(target_fakedb) as fakedb:
        linker = _Linker(fakedb)
        old, new = os.open(source, DIRECTORY), os.open(target, DIRECTORY)
        try:
            linker.fill(old, new)
            linker.finish_folder(old, new)
        finally:
            os.close(old)
            os.close(new)


def lay_over(source: str, source_fakedb: str, upper: str, target_fakedb: str) -> None:
    """Prepares an empty directory to be the upper one of an overlay on the tree `source`. A file of
    that keeps its inode number when it changes, but not its time of birth.
    """
    fakedbs.clone(source_fakedb, target_fakedb)
    with Fakedb(target_fakedb) as fakedb:
        old, new = os.open(source, DIRECTORY), os.open(upper, DIRECTORY)
        try:
            _Linker(fakedb).finish_folder(old, new)
        finally:
            os.close(old)
            os.close(new)
        fakedb.unguard()


def part_tree(rootfs: str, fakedb_file: str) -> None:
    """Gives a container copies of the files that it shares; names of one file stay so. Nothing may
    run in it.
    """
    copies: dict[int, str] = {}  # inode of a shared file -> path of its copy
    with Fakedb(fakedb_file, create=True) as fakedb:
        for folder, _, names, fd in os.fwalk(rootfs):
            before = os.fstat(fd)
            for name in names:
                found = os.lstat(name, dir_fd=fd)
                if is_shared(found.st_mode):
                    _part(fakedb, _Name(fd, name), copies.get(found.st_ino))
                    copies.setdefault(found.st_ino, os.path.join(folder, name))
            os.utime(fd, ns=(before.st_atime_ns, before.st_mtime_ns))


def _part(fakedb: Fakedb, shared: _Name, copy: str | None) -> None:
    own = _Name(shared.folder, scratch_name(shared.name))
    if copy is None:
        _copy(fakedb, shared, own)
    else:
        os.link(copy, own.name, dst_dir_fd=own.folder)
    os.rename(own.name, shared.name, src_dir_fd=own.folder, dst_dir_fd=shared.folder)


class _Name(NamedTuple):
    """A file in an open directory."""

    folder: int
    name: str


def _copy(fakedb: Fakedb, old: _Name, new: _Name) -> None:
    """Makes a copy of a shared file, which is the container's own."""
    with (
        open(os.open(old.name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=old.folder), "rb", 0) as source,
        open(os.open(new.name, NEW, 0o600, dir_fd=new.folder), "wb", 0) as target,
    ):
        copy_content(source, target)
        _copy_attributes(source.fileno(), target.fileno())
        found = os.fstat(source.fileno())
        os.fchmod(target.fileno(), stat.S_IMODE(own_mode(found.st_mode)))
    _finish(fakedb, found, old, new)


def _copy_attributes(old: int, new: int) -> None:
    for key in os.listxattr(old):
        if key.startswith("user."):
            os.setxattr(new, key, os.getxattr(old, key))


def _finish(fakedb: Fakedb, found: os.stat_result, old: _Name, new: _Name) -> None:
    """Gives a new file the times of the old one, and what that pretends."""
    times = (found.st_atime_ns, found.st_mtime_ns)
    os.utime(new.name, ns=times, dir_fd=new.folder, follow_symlinks=False)
    if fakedb.maybe(found.st_ino):
        fakedb.inherit(key_of(new.name, dir_fd=new.folder), key_of(old.name, dir_fd=old.folder))


class _Linker:
    """Makes one tree."""

    def __init__(self, fakedb: Fakedb) -> None:
        self.fakedb = fakedb

    def fill(self, old: int, new: int) -> None:
        """Fills one directory and all beneath it."""
        with os.scandir(old) as entries:
            found = list(entries)
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                self._folder(entry.name, old, new)
            elif entry.is_file(follow_symlinks=False):
                self._file(entry.name, old, new)
            else:
                self._other(entry, old, new)

    def finish_folder(self, old: int, new: int) -> None:
        """Gives a directory that is filled what the other one has."""
        found = os.fstat(old)
        _copy_attributes(old, new)
        os.fchmod(new, stat.S_IMODE(found.st_mode))
        _finish(self.fakedb, found, _Name(old, "."), _Name(new, "."))

    def _folder(self, name: str, old_parent: int, new_parent: int) -> None:
        os.mkdir(name, 0o700, dir_fd=new_parent)
        old = os.open(name, DIRECTORY, dir_fd=old_parent)
        new = os.open(name, DIRECTORY, dir_fd=new_parent)
        try:
            self.fill(old, new)
            self.finish_folder(old, new)
        finally:
            os.close(old)
            os.close(new)

    def _file(self, name: str, old: int, new: int) -> None:
        try:
            os.link(name, name, src_dir_fd=old, dst_dir_fd=new, follow_symlinks=False)
        except OSError as e:
            if e.errno != errno.EMLINK:
                raise
            _copy(self.fakedb, _Name(old, name), _Name(new, name))  # it has as many as there can be

    def _other(self, entry: os.DirEntry[str], old: int, new: int) -> None:
        """Links and pipes are made anew: who changes the time of one would change all, and a pipe
        must not lead from one container into another.
        """
        found = entry.stat(follow_symlinks=False)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.name, dir_fd=old), entry.name, dir_fd=new)
        elif stat.S_ISFIFO(found.st_mode):
            os.mkfifo(entry.name, 0o600, dir_fd=new)
            os.chmod(entry.name, stat.S_IMODE(found.st_mode), dir_fd=new)
        else:
            return  # a socket means nothing without its process
        self._finish(entry.name, found, old, new)

    def _finish(self, name: str, found: os.stat_result, old: int, new: int) -> None:
        _finish(self.fakedb, found, _Name(old, name), _Name(new, name))
