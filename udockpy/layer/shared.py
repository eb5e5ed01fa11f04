"""Shared files: the regular files of an image's tree, which its containers share by hard links.

A shared file cannot be written by its owner, and carries the sticky bit, which means nothing else
on a regular file. So the kernel refuses every way to write to it, and what is refused tells by its
mode that it must become a file of the container's own first: engines/calls/shared.c. The mode it
had is its mode without the one bit and with the other.
"""

from __future__ import annotations

import contextlib
import os
import stat

from udockpy.layer.fakedb import LINKS, Fakedb, Record, key_of
from udockpy.util.atomic import scratch_name
from udockpy.util.tree import DIRECTORY

MARK = stat.S_ISVTX | stat.S_IWUSR


def is_shared(mode: int) -> bool:
    """Whether these are the mode bits of a shared file."""
    return stat.S_ISREG(mode) and mode & MARK == stat.S_ISVTX


def own_mode(mode: int) -> int:
    """The mode of a file as if it were not shared."""
    return mode ^ MARK if is_shared(mode) else mode


def mark_works(path: str) -> bool:
    """Makes the file `path` a shared one, if that protects files here: it does not where the
    filesystem keeps no such mode, nor against root.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.suppress(OSError):
            os.fchmod(fd, 0o600 ^ MARK)
        if is_shared(os.fstat(fd).st_mode) and not os.access(path, os.W_OK):
            return True
    finally:
        os.close(fd)
    os.unlink(path)
    return False


def mark_tree(rootfs: str, fakedb_file: str) -> None:
    """Marks the regular files of a tree; those that have several names there are remembered. What
    was known of files that are gone is forgotten.
    """
    scratch = scratch_name(fakedb_file)
    with Fakedb(fakedb_file, create=True) as old, Fakedb(scratch, create=True) as new:
        fd = os.open(rootfs, DIRECTORY)
        try:
            _Marker(old, new).folder(fd)
        finally:
            os.close(fd)
    os.rename(scratch, fakedb_file)


class _Marker:
    """Marks one tree."""

    def __init__(self, old: Fakedb, new: Fakedb) -> None:
        self.old = old
        self.new = new

    def folder(self, folder_fd: int) -> None:
        """Marks all beneath an open directory."""
        self._remember(os.fstat(folder_fd).st_ino, ".", folder_fd)
        with os.scandir(folder_fd) as entries:
            found = list(entries)
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                fd = os.open(entry.name, DIRECTORY, dir_fd=folder_fd)
                try:
                    self.folder(fd)
                finally:
                    os.close(fd)
            elif entry.is_file(follow_symlinks=False):
                self._file(entry, folder_fd)
            else:
                self._remember(entry.inode(), entry.name, folder_fd)

    def _file(self, entry: os.DirEntry[str], folder_fd: int) -> None:
        status = entry.stat(follow_symlinks=False)
        if is_shared(status.st_mode):
            return  # by another of its names
        self._remember(status.st_ino, entry.name, folder_fd)
        if status.st_nlink > 1:
            self.new.update(key_of(entry.name, dir_fd=folder_fd), Record(LINKS))
        os.chmod(entry.name, stat.S_IMODE(status.st_mode) ^ MARK, dir_fd=folder_fd)

    def _remember(self, ino: int, name: str, folder_fd: int) -> None:
        if self.old.maybe(ino):
            key = key_of(name, dir_fd=folder_fd)
            self.new.inherit(key, key, of=self.old)
