"""Blobs on their way in: hashed as they are written, kept when they are cut off, and put in their
place when their digest is right.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os

from udockpy import home as homes
from udockpy.errors import ImageError
from udockpy.oci import digest as digests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from udockpy.home import Home
    from udockpy.oci.image import Descriptor
    from udockpy.store.layout import Layout

CHUNK = 1 << 20


class Incoming:
    """The file of a blob that is not whole yet. Only one process writes it at a time."""

    def __init__(self, fd: int, path: str, blob: Descriptor) -> None:
        self.fd = fd
        self.path = path
        self.blob = blob
        self.offset = 0
        self.abandoned = False  # set from another thread, to end the download
        self.watcher: Callable[[int], None] = lambda _: None  # told how many bytes there are
        self.hash = digests.hasher(blob.digest)
        self._take_up()

    def write(self, chunk: bytes) -> None:
        if self.abandoned:
            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR), self.path)
        self.hash.update(chunk)
        self.offset += len(chunk)
        while chunk:
            chunk = chunk[os.write(self.fd, chunk) :]
        self.watcher(self.offset)

    def restart(self) -> None:
        """Forgets what was there."""
        os.ftruncate(self.fd, 0)
        os.lseek(self.fd, 0, os.SEEK_SET)
        self.offset = 0
        self.hash = digests.hasher(self.blob.digest)

    def finish(self, destination: str, subject: str) -> None:
        """Puts the blob in its place, if it is what its digest says."""
        size, value = digests.split(self.blob.digest)[1], self.hash.hexdigest()
        if self.offset != self.blob.size or value != size:
            os.unlink(self.path)  # going on from here could not help
            reason = f"what came is not the blob {self.blob.digest}"
            raise ImageError("cannot use the image", subject, reason)
        homes.make(os.path.dirname(destination))
        os.rename(self.path, destination)

    def _take_up(self) -> None:
        """Goes on with what an earlier attempt left."""
        while chunk := os.read(self.fd, CHUNK):
            self.hash.update(chunk)
            self.offset += len(chunk)
        if self.offset > self.blob.size:
            self.restart()


@contextlib.contextmanager
def incoming(home: Home, layout: Layout, blob: Descriptor) -> Iterator[Incoming | None]:
    """Yields where to write a blob; None when it is there, also when another process, which was
    waited for, has just brought it.
    """
    path = os.path.join(homes.make(home.downloads), blob.digest.replace(":", "-"))
    while not layout.has(blob.digest):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if not _is(fd, path):
                continue  # its last writer has put it in its place, or given it up
            if layout.has(blob.digest):
                os.unlink(path)
                break
            yield Incoming(fd, path, blob)
            return
        finally:
            os.close(fd)
    yield None


def _is(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
