"""Removing directory trees, whatever modes a guest gave them."""

from __future__ import annotations

import os
import stat

from udockpy.util.atomic import scratch_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_DEPTH = (
    100  # deeper directories are lifted to the top first: neither stack nor descriptors run out
)


def discard(path: str) -> None:
    """Removes `path` so that it is gone at once: it is renamed away first."""
    gone = scratch_name(path)
    os.rename(path, gone)
    remove(gone)


def size(path: str) -> int:
    """The bytes on the disk that are free when a tree or a file is removed: other trees may share
    files with it.
    """
    freed = 0
    shared: dict[tuple[int, int], int] = {}  # names of files that are still to be met
    for found in _every(path):
        inode = (found.st_dev, found.st_ino)
        left = 1 if stat.S_ISDIR(found.st_mode) else shared.get(inode, found.st_nlink)
        shared[inode] = left - 1
        freed += found.st_blocks * 512 if left == 1 else 0
    return freed


def _every(path: str) -> Iterator[os.stat_result]:
    yield os.lstat(path)
    for base, folders, names in os.walk(path):
        for name in (*folders, *names):
            yield os.lstat(os.path.join(base, name))


def remove(path: str) -> None:
    """Removes a directory tree or a file; nothing there is fine. Never follows a symbolic link."""
    folder, name = os.path.split(path)
    try:
        fd = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        todo = [name]
        while todo:
            _remove_entry(fd, todo.pop(), top=fd, todo=todo, depth=0)
    finally:
        os.close(fd)


def _remove_entry(parent: int, name: str, *, top: int, todo: list[str], depth: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            raise
    if depth == MAX_DEPTH:
        lifted = scratch_name(name[:20])
        os.rename(name, lifted, src_dir_fd=parent, dst_dir_fd=top)
        todo.append(lifted)
        return
    fd = _open_directory(parent, name)
    try:
        os.fchmod(fd, 0o700)
        with os.scandir(fd) as entries:
            names = [entry.name for entry in entries]
        for inner in names:
            _remove_entry(fd, inner, top=top, todo=todo, depth=depth + 1)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=parent)


def _open_directory(parent: int, name: str) -> int:
    try:
        return os.open(name, DIRECTORY, dir_fd=parent)
    except PermissionError:
        # Its owner took away his own right to read it. (chmod cannot be told here not to follow
        # links; the name was just seen to be a directory, and a race for it is with the tree's
        # owner himself.)
        os.chmod(name, 0o700, dir_fd=parent)
        return os.open(name, DIRECTORY, dir_fd=parent)
