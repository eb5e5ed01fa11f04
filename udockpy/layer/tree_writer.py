"""Writes members into a new directory as an ordinary user; what he may not make is remembered in
the fakedb.

No member gets outside the destination, whatever links the archive planted before: every parent
directory is reached through descriptors, and links in it are followed as the guest would follow
them, inside the root.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import stat
import sys
from typing import BinaryIO, NamedTuple

from udockpy.errors import ArchiveError, reason_of
from udockpy.layer.fakedb import MODE, NODE, OWNER, Fakedb, Record, key_of
from udockpy.layer.member import Kind, Member
from udockpy.util import tree
from udockpy.util.beneath import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LIMIT_HINT = "if the image is known to be that large, raise the setting max_unpacked"
CHUNK = 1 << 16
ZEROS = bytes(CHUNK)
FICLONE = 0x40049409  # linux/fs.h: share the blocks, where the filesystem can
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_tree(members: Iterable[Member], destination: str, fakedb_file: str) -> int:
    """Makes the files in the existing directory `destination`; returns the count of members."""
    with tree_writer(destination, fakedb_file) as writer:
        return sum(1 for _ in writer.written(members))


@contextlib.contextmanager
def tree_writer(
    destination: str, fakedb_file: str, *, limit: int = sys.maxsize
) -> Iterator[TreeWriter]:
    """Yields a writer into the existing directory `destination`, of at most `limit` bytes."""
    with (
        Root(destination) as root,
        Fakedb(fakedb_file, create=True) as fakedb,
        contextlib.ExitStack() as stack,
    ):
        writer = TreeWriter(root, fakedb, limit)
        stack.callback(writer.close)
        yield writer
        writer.finish()


class _Directory(NamedTuple):
    """A directory whose final mode and time must wait until it is filled."""

    mode: int
    mtime_ns: int
    ino: int  # tells it from one that took its place


class TreeWriter:
    """Keeps the last parent open (members come sorted by directory), and what to do at the end."""

    def __init__(self, root: Root, fakedb: Fakedb, limit: int) -> None:
        self.root = root
        self.fakedb = fakedb
        self.limit = limit
        self.parent = ""
        self.parent_fd = os.dup(root.fd)
        self.directories: dict[str, _Directory] = {}

    def close(self) -> None:
        os.close(self.parent_fd)

    def written(self, members: Iterable[Member]) -> Iterator[Member]:
        """Writes members, and yields each when it is there."""
        for member in members:
            with self.naming(member):
                self.write(member)
            yield member

    @contextlib.contextmanager
    def naming(self, member: Member) -> Iterator[None]:
        """Lets an error of the system name the member it came from: of a full disk, for example."""
        try:
            yield
        except OSError as e:
            if e.filename is None or e.filename == ".":
                e.filename = member.name
            raise

    def write(self, member: Member) -> None:
        self.limit -= member.size
        if self.limit < 0:
            reason = "with it, more is unpacked than is allowed"
            raise ArchiveError("cannot unpack", member.name, reason, hint=LIMIT_HINT)
        if member.kind is Kind.DIRECTORY:
            self._directory(member)
            return
        if not member.name:
            raise ArchiveError("cannot unpack", "/", "the root is not a directory")
        if member.kind is Kind.HARDLINK and member.link == member.name:
            return
        folder, name = os.path.split(member.name)
        self._enter(folder)
        try:
            self._make(member, name)
        except FileExistsError:
            self._make_way(name)
            self._make(member, name)

    def _make(self, member: Member, name: str) -> None:
        """Makes what is not a directory; FileExistsError before anything of it is read."""
        if member.kind is Kind.HARDLINK:
            self._hardlink(member, name)
            return
        real_mode = self._create(member, name)
        self._remember(member, name, real_mode)
        os.utime(
            name,
            ns=(member.mtime_ns, member.mtime_ns),
            dir_fd=self.parent_fd,
            follow_symlinks=False,
        )

    def finish(self) -> None:
        """Sets what writing into directories would have disturbed."""
        for name, directory in self.directories.items():
            if not self.enter_existing(name):
                continue  # replaced by a later member
            if os.fstat(self.parent_fd).st_ino == directory.ino:
                os.fchmod(self.parent_fd, directory.mode)
                os.utime(self.parent_fd, ns=(directory.mtime_ns, directory.mtime_ns))

    def _directory(self, member: Member) -> None:
        folder, name = os.path.split(member.name)
        self._enter(folder)
        if name and stat.S_ISLNK(_mode(name, self.parent_fd)):
            os.unlink(name, dir_fd=self.parent_fd)
        self._enter(member.name)
        real_mode = member.mode & 0o777 | 0o700
        found = os.fstat(self.parent_fd)
        self.directories.pop(member.name, None)  # the last word counts, and is had at the end
        self.directories[member.name] = _Directory(real_mode, member.mtime_ns, found.st_ino)
        self._forget_attributes(member, found.st_ino)
        self._remember(member, "", real_mode, known=self.fakedb.maybe(found.st_ino))

    def _create(self, member: Member, name: str) -> int:
        """Makes what is not a directory and returns its real mode: never set-id, always u+rw."""
        if member.kind is Kind.SYMLINK:
            os.symlink(member.link, name, dir_fd=self.parent_fd)
            return member.mode
        real_mode = real_file_mode(member.mode)
        if member.kind is Kind.FIFO:
            os.mkfifo(name, 0o600, dir_fd=self.parent_fd)
            os.chmod(name, real_mode, dir_fd=self.parent_fd)
            return real_mode
        if member.kind is not Kind.FILE:
            real_mode = 0o600  # a device: an empty file that nobody else opens
        with os.fdopen(
            os.open(name, CREATE, 0o600, dir_fd=self.parent_fd), "wb", buffering=0
        ) as file:
            if member.content is not None:
                with member.content() as content:
                    copy_content(content, file)
            os.fchmod(file.fileno(), real_mode)
        return real_mode

    def _hardlink(self, member: Member, name: str) -> None:
        try:
            fd, target = self.root.locate(member.link, follow=False)
        except OSError as e:
            raise ArchiveError(
                "cannot unpack", member.name, f"it links to {member.link}: {reason_of(e)}"
            ) from e
        try:
            os.link(target, name, src_dir_fd=fd, dst_dir_fd=self.parent_fd, follow_symlinks=False)
        except FileNotFoundError:
            raise ArchiveError(
                "cannot unpack", member.name, f"it links to {member.link}, which is not there"
            ) from None
        finally:
            os.close(fd)

    def _forget_attributes(self, member: Member, ino: int) -> None:
        """A directory that was there has what the member says, and nothing more."""
        wanted = {key for key, _ in member.xattrs}
        with contextlib.suppress(OSError):  # a filesystem without attributes
            for key in os.listxattr(self.parent_fd):
                if key.startswith("user.") and key not in wanted:
                    os.removexattr(self.parent_fd, key)
        if self.fakedb.maybe(ino):
            known = key_of("", dir_fd=self.parent_fd)
            for key in self.fakedb.xattrs(known):
                if key not in wanted:
                    self.fakedb.removexattr(known, key)

    def _remember(self, member: Member, name: str, real_mode: int, *, known: bool = False) -> None:
        """Records what the file really is not. Unknown files are the root's and have their real
        mode.
        """
        has = OWNER if known or (member.uid, member.gid) != (0, 0) else 0
        mode = member.mode & 0o7777
        if known or mode != real_mode:
            has |= MODE
        if member.kind in (Kind.CHARACTER, Kind.BLOCK):
            has |= NODE | MODE | OWNER
            mode |= member.kind.value
        remembered = [
            (key, value)
            for key, value in member.xattrs
            if not self._set_real_xattr(name, key, value)
        ]
        if not has and not remembered:
            return
        key = key_of(name, dir_fd=self.parent_fd)
        if has:
            self.fakedb.update(key, Record(has, member.uid, member.gid, mode, member.rdev))
        for attribute, value in remembered:
            self.fakedb.setxattr(key, attribute, value)

    def _set_real_xattr(self, name: str, key: str, value: bytes) -> bool:
        """user.* attributes can be set for real, on files and directories; labels of the host's LSM
        are dropped.
        """
        if key == "security.selinux":
            return True
        if not key.startswith("user."):
            return False
        try:
            fd = os.open(
                name or ".",
                os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                dir_fd=self.parent_fd,
            )
        except OSError:
            return False
        try:
            os.setxattr(fd, key, value)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True

    def _make_way(self, name: str) -> None:
        """A member replaces an earlier one of its name."""
        try:
            os.unlink(name, dir_fd=self.parent_fd)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            tree.remove(f"/proc/self/fd/{self.parent_fd}/{name}")

    def enter_existing(self, folder: str) -> bool:
        """As _enter(), but makes nothing; False where there is no such directory."""
        if folder == self.parent:
            return True
        try:
            fd = self.root.open(folder, tree.DIRECTORY) if folder else os.dup(self.root.fd)
        except OSError as e:
            if e.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return False
            raise
        os.close(self.parent_fd)
        self.parent, self.parent_fd = folder, fd
        return True

    def _enter(self, folder: str) -> None:
        """Makes `folder` the open parent; directories an archive forgot are made."""
        if folder == self.parent:
            return
        fd = self._open_folder(folder)
        os.close(self.parent_fd)
        self.parent, self.parent_fd = folder, fd

    def _open_folder(self, folder: str) -> int:
        if not folder:
            return os.dup(self.root.fd)
        try:
            return self.root.open(folder, tree.DIRECTORY)
        except FileNotFoundError:
            pass
        except NotADirectoryError:
            return self._replace_by_folder(folder)
        above, name = os.path.split(folder)
        parent = self._open_folder(above)
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=parent)
            return os.open(name, tree.DIRECTORY, dir_fd=parent)
        except OSError as e:
            if stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode):
                reason = "it goes through a link that leads nowhere"
                raise ArchiveError("cannot unpack", folder, reason) from e
            raise
        finally:
            os.close(parent)

    def _replace_by_folder(self, folder: str) -> int:
        parent, name = self.root.locate(folder, follow=True)
        try:
            os.unlink(name, dir_fd=parent)
            os.mkdir(name, 0o755, dir_fd=parent)
            return os.open(name, tree.DIRECTORY, dir_fd=parent)
        finally:
            os.close(parent)


def real_file_mode(mode: int) -> int:
    """The mode a file gets on the host: its owner can always read and write it, and it carries no
    set-id bits.
    """
    real = mode & 0o777 | 0o600
    return real | 0o100 if mode & 0o111 else real


def copy_content(source: BinaryIO, destination: io.FileIO) -> None:
    """Copies what a file holds; blocks of zeros become holes."""
    if isinstance(source, io.FileIO):
        with contextlib.suppress(OSError):
            fcntl.ioctl(destination, FICLONE, source.fileno())
            return
    while chunk := source.read(CHUNK):
        if chunk == ZEROS[: len(chunk)]:
            destination.seek(len(chunk), os.SEEK_CUR)
        else:
            _write_all(destination, chunk)
    destination.truncate()


def _write_all(destination: io.FileIO, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[destination.write(chunk) :]


def _mode(name: str, parent: int) -> int:
    try:
        return os.lstat(name, dir_fd=parent).st_mode
    except FileNotFoundError:
        return 0
