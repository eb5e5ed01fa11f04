"""One file of a tree or an archive, with the identity it has for its guest."""

from __future__ import annotations

import enum
import stat
from typing import BinaryIO, Callable, NamedTuple

from udockpy.errors import ArchiveError


class Kind(enum.Enum):
    """What a member is; the value is its type in st_mode, 0 for a further name of a file."""

    FILE = stat.S_IFREG
    DIRECTORY = stat.S_IFDIR
    SYMLINK = stat.S_IFLNK
    CHARACTER = stat.S_IFCHR
    BLOCK = stat.S_IFBLK
    FIFO = stat.S_IFIFO
    HARDLINK = 0


class Member(NamedTuple):
    """A file as its guest sees it."""

    name: str  # relative to the root, without dots; "" is the root itself
    kind: Kind
    mode: int = 0o644  # permission, set-id and sticky bits
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    size: int = 0
    link: str = ""  # what a symbolic link says; which member a hard link names
    rdev: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    content: Callable[[], BinaryIO] | None = None
    inode: tuple[int, int] = (0, 0)  # device and number, of a file of the host
    links: int = 1  # how many names that has, some of them perhaps elsewhere


MAX_NAME = 4096  # bytes: the kernel's PATH_MAX
MAX_DEPTH = 500


def clean_name(name: str) -> str:
    """A member name as tar(1) takes it: leading slashes are dropped, `..` is refused."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveError(
            "cannot unpack", name, "the name leaves the destination (it contains ..)"
        )
    if "\0" in name:
        raise ArchiveError(
            "cannot unpack", name.replace("\0", "\\0"), "the name contains a null byte"
        )
    if len(name) > MAX_NAME or len(parts) > MAX_DEPTH:
        raise ArchiveError("cannot unpack", f"{name[:80]}...", "the name is too long or too deep")
    return "/".join(parts)
