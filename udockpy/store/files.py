"""Images in single files, SIF and squashfs: what they are, and where their trees are."""

from __future__ import annotations

import os
from typing import IO, NamedTuple

from udockpy import home as homes
from udockpy.errors import ImageError, reason_of
from udockpy.home import Home
from udockpy.sif import image as sif
from udockpy.util import atomic

HEAD = 2048  # in which the signs are
SQUASHFS = b"hsqs"
LAUNCH = b" run-singularity"  # in a first line that makes an image a program


class Part(NamedTuple):
    """Where in a file the root filesystem is."""

    offset: int  # bytes
    size: int


def is_image(path: str) -> bool:
    """Whether a file is one of these images; anything that cannot be read is not."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    return sif.is_sif(head) or _squashfs_at(head) is not None


def root_filesystem(path: str) -> Part:
    """Finds the root filesystem of an image."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
            if sif.is_sif(head):
                return _primary(file, path)
            offset = _squashfs_at(head)
            if offset is not None:
                return Part(offset, os.fstat(file.fileno()).st_size - offset)
    except OSError as e:
        raise ImageError("cannot read the image", path, reason_of(e)) from e
    raise ImageError("cannot read the image", path, "neither SIF nor squashfs")


def key_of(path: str) -> str:
    """Names a file as long as nobody writes to it."""
    found = os.stat(path)
    numbers = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return "-".join(f"{number:x}" for number in numbers)


def known(home: Home, path: str) -> str | None:
    """The folder with the unpacked tree of a file, if that is there."""
    folder = os.path.join(home.files, key_of(path))
    return os.path.realpath(folder) if os.path.isdir(folder) else None


def note(link: str) -> str:
    """The file that says which file a link is about."""
    return f"{link}.path"


def noted(path: str) -> str:
    """The link that a file of note() is about; empty for any other file."""
    link, suffix = os.path.splitext(path)
    return link if suffix == ".path" else ""


def source(link: str) -> str:
    """The path of the file that a link is about; empty where nobody noted it."""
    try:
        with open(note(link), "rb") as file:
            return os.fsdecode(file.read())
    except FileNotFoundError:
        return ""


def is_current(link: str) -> bool:
    """Whether the file that a link is about is there, and as it was."""
    try:
        return key_of(source(link)) == os.path.basename(link)
    except OSError:
        return False


def digest(path: str, part: Part) -> str:
    """The SHA-256 of the root filesystem, in hexadecimal."""
    import hashlib

    state = hashlib.sha256()
    with open(path, "rb") as file:
        file.seek(part.offset)
        left = part.size
        while left and (chunk := file.read(min(left, 1 << 20))):
            state.update(chunk)
            left -= len(chunk)
    return state.hexdigest()


def remember(home: Home, path: str, value: str) -> None:
    """Notes what a file holds, so that it need not be read next time."""
    link = os.path.join(homes.make(home.files), key_of(path))
    atomic.write_if_changed(note(link), os.fsencode(path))
    scratch = atomic.scratch_name(link)
    os.symlink(value, scratch)
    os.rename(scratch, link)


def _primary(file: IO[bytes], path: str) -> Part:
    entry = sif.read(file, path).primary()
    if entry is None:
        raise ImageError("cannot use the image", path, "it has no primary system partition")
    filesystem = entry.partition[0]
    if filesystem != sif.SQUASHFS:
        name = sif.FILESYSTEMS.get(filesystem, str(filesystem))
        raise ImageError("cannot use the image", path, f"its root filesystem is {name}")
    return Part(entry.offset, entry.size)


def _squashfs_at(head: bytes) -> int | None:
    """Where the filesystem begins: at once, or after a line that makes the file a program."""
    line, newline, _ = head.partition(b"\n")
    start = len(line + newline) if head.startswith(b"#!") and LAUNCH in line else 0
    return start if head[start : start + 4] == SQUASHFS else None
