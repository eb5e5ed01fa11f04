"""Reads a tar archive, compressed or not, from a file or from standard input."""

from __future__ import annotations

import hashlib
import io
import queue
import re
import subprocess
import sys
import tarfile
import threading
import zlib
from contextlib import ExitStack, contextmanager, suppress
from decimal import Decimal
from functools import partial
from typing import IO, BinaryIO, Callable, cast

from udockpy.errors import ArchiveError
from udockpy.layer import zstd
from udockpy.layer.member import Kind, Member, clean_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typing_extensions import Self

XATTR = "SCHILY.xattr."
XATTR_NAME = re.compile(r"(?:user|trusted|security|system)\.[^\0]{1,240}", re.DOTALL)
MAX_XATTR = 1 << 16  # the kernel's XATTR_SIZE_MAX
MAX_ID = (1 << 32) - 2  # the last one means "no change" to chown(2)
KINDS = {
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
    tarfile.CHRTYPE: Kind.CHARACTER,
    tarfile.BLKTYPE: Kind.BLOCK,
    tarfile.FIFOTYPE: Kind.FIFO,
}


@contextmanager
def open_tar(path: str) -> Iterator[Iterator[Member]]:
    """Yields the members of the archive `path` ("-": standard input). Damage is an ArchiveError."""
    with ExitStack() as stack:
        raw = sys.stdin.buffer if path == "-" else stack.enter_context(open(path, "rb"))
        with _damage(path):
            yield _members(_decompressed(raw, path, stack))


@contextmanager
def open_layer(path: str, diff_id: str) -> Iterator[Iterator[Member]]:
    """As open_tar(), for a layer of an image: what was read must have the digest `diff_id`.

    Then it is whole, though some tools end their layers without an end mark, even without padding.
    """
    with ExitStack() as stack:
        raw = stack.enter_context(open(path, "rb"))
        with _damage(diff_id):
            plain = _decompressed(raw, diff_id, stack, may_be_empty=True)
            stream = stack.enter_context(_Plain(plain, diff_id))
            yield _members(cast("IO[bytes]", stream))
            stream.check()


@contextmanager
def _damage(subject: str) -> Iterator[None]:
    try:
        yield
    except Exception as e:
        if not isinstance(e, (tarfile.TarError, EOFError, zlib.error, *_library_errors())):
            raise
        raise ArchiveError(
            "cannot read the archive", subject, f"damaged, cut off or no tar archive ({e})"
        ) from e


class _Plain:
    """A layer's plain bytes, hashed as they pass, with the end that an archive should have.

    They are decompressed and hashed in a thread, a little ahead of who reads them and writes files.
    """

    CHUNK = 1 << 18
    AHEAD = 8  # chunks

    def __init__(self, stream: IO[bytes], diff_id: str) -> None:
        self.stream = stream
        self.diff_id = diff_id
        self.hash = hashlib.new(diff_id.partition(":")[0])
        self.size = 0  # of the real content
        self.padding: int | None = None  # zeros still to be given after it
        self.rest = b""
        self.over = False
        self.failure: BaseException | None = None
        # A chunk, the empty one at the end, or what went wrong.
        self.chunks: queue.Queue[bytes | BaseException] = queue.Queue(self.AHEAD)
        self.thread = threading.Thread(target=self._read_ahead, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over = True
        while self.thread.is_alive():
            with suppress(queue.Empty):  # it may wait for room
                self.chunks.get(timeout=0.01)
        self.thread.join()

    def read(self, count: int) -> bytes:
        if self.padding is None:
            if not self.rest:
                self.rest = self._next()
            chunk, self.rest = self.rest[:count], self.rest[count:]
            if chunk:
                return chunk
            self.padding = -self.size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE
        chunk = bytes(min(count, self.padding))
        self.padding -= len(chunk)
        return chunk

    def close(self) -> None:
        """tarfile wants one; who opened the stream closes it."""

    def check(self) -> None:
        if self.hash.hexdigest() != self.diff_id.partition(":")[2]:
            reason = "its content is not what the image's configuration says"
            raise ArchiveError("cannot read the layer", self.diff_id, reason)

    def _next(self) -> bytes:
        if self.failure is None:
            chunk = self.chunks.get()
            if isinstance(chunk, bytes):
                return chunk
            self.failure = chunk
        raise self.failure

    def _read_ahead(self) -> None:
        try:
            while not self.over:
                chunk = self.stream.read(self.CHUNK)
                self.hash.update(chunk)
                self.size += len(chunk)
                self.chunks.put(chunk)
                if not chunk:
                    return
        except BaseException as e:
            self.chunks.put(e)


class _Entry(tarfile.TarInfo):
    """tarfile takes a damaged header, and the end of the file, for the end of the archive; here
    only its end mark is.
    """

    # What a header may announce of itself is read into memory.
    LARGEST_HEADER = 1 << 20
    HEADERS = (b"x", b"g", b"X", b"L", b"K")

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            entry = super().frombuf(buf, encoding, errors)
            if entry.size < 0 or (entry.type in cls.HEADERS and entry.size > cls.LARGEST_HEADER):
                raise tarfile.ReadError(f"{entry.name[:80]}: impossible size {entry.size}")
            return entry
        except tarfile.HeaderError as e:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise  # the end mark
            raise tarfile.ReadError("no end mark" if not buf else str(e)) from None


def _members(stream: IO[bytes]) -> Iterator[Member]:
    with tarfile.open(
        fileobj=cast("IO[bytes]", _Finite(stream)),
        mode="r|",
        bufsize=1 << 18,
        tarinfo=_Entry,
        encoding="utf-8",
    ) as archive:
        while entry := _next(archive):
            yield _member(entry, archive)
            # A reader of streams keeps every header it saw; nothing here looks back.
            archive.members = []  # type: ignore[attr-defined]
    while stream.read(1 << 18):
        pass  # the checksum of a compressed stream is at its end


class _Finite:
    """A stream that may not be asked on and on after its end: tarfile goes over a member of any
    size that its header says in small steps, though nothing comes any more.
    """

    MOST = 4

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.empty = 0

    def read(self, count: int) -> bytes:
        chunk = self.stream.read(count)
        self.empty = 0 if chunk else self.empty + 1
        if self.empty > self.MOST:
            raise tarfile.ReadError("it ends within a member")
        return chunk

    def close(self) -> None:
        """tarfile wants one; who opened the stream closes it."""


def _next(archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    """The next header. tarfile lets errors about nonsense in it through as they come."""
    try:
        return archive.next()
    except (ArithmeticError, LookupError, ValueError) as e:
        raise tarfile.ReadError(f"a malformed header: {e}") from e


def _member(entry: tarfile.TarInfo, archive: tarfile.TarFile) -> Member:
    kind = Kind.FILE if entry.isreg() else KINDS.get(entry.type)
    if kind is None:
        raise ArchiveError("cannot unpack", entry.name, f"unknown member type {entry.type!r}")
    _check_numbers(entry)
    return Member(
        name=clean_name(entry.name),
        kind=kind,
        mode=entry.mode & 0o7777,
        uid=entry.uid,
        gid=entry.gid,
        mtime_ns=_mtime_ns(entry),
        size=entry.size if kind is Kind.FILE else 0,
        link=clean_name(entry.linkname) if kind is Kind.HARDLINK else entry.linkname,
        rdev=(entry.devmajor, entry.devminor),
        xattrs=_xattrs(entry.name, entry.pax_headers),
        content=cast("Callable[[], BinaryIO]", partial(archive.extractfile, entry))
        if kind is Kind.FILE
        else None,
    )


def _check_numbers(entry: tarfile.TarInfo) -> None:
    """Refuses what no system could have written."""
    if not (0 <= entry.uid <= MAX_ID and 0 <= entry.gid <= MAX_ID):
        reason = f"impossible owner {entry.uid}:{entry.gid}"
        raise ArchiveError("cannot unpack", entry.name, reason)
    if not (0 <= entry.devmajor < 1 << 32 and 0 <= entry.devminor < 1 << 32):
        reason = f"impossible device {entry.devmajor}:{entry.devminor}"
        raise ArchiveError("cannot unpack", entry.name, reason)
    if entry.size < 0:
        raise ArchiveError("cannot unpack", entry.name, f"impossible size {entry.size}")


def _mtime_ns(entry: tarfile.TarInfo) -> int:
    """To the nanosecond, which tarfile's floating point number does not hold."""
    try:
        written = entry.pax_headers.get("mtime")
        found = int(Decimal(entry.mtime if written is None else written) * 1_000_000_000)
    except (ArithmeticError, ValueError):
        raise ArchiveError("cannot unpack", entry.name, "impossible time") from None
    if not -(1 << 63) <= found < 1 << 63:
        raise ArchiveError("cannot unpack", entry.name, "impossible time")
    return found


def _xattrs(subject: str, headers: Mapping[str, str]) -> tuple[tuple[str, bytes], ...]:
    # tarfile decodes every value as UTF-8 with surrogate escapes, which gives binary ones back
    # unharmed.
    found = ((key[len(XATTR) :], value) for key, value in headers.items() if key.startswith(XATTR))
    xattrs = tuple((key, value.encode("utf-8", "surrogateescape")) for key, value in found)
    for key, value in xattrs:
        if not XATTR_NAME.fullmatch(key) or len(value) > MAX_XATTR:
            reason = f"bad extended attribute {key[:80]!r}"
            raise ArchiveError("cannot unpack", subject, reason)
    return xattrs


def _decompressed(
    raw: IO[bytes], path: str, stack: ExitStack, *, may_be_empty: bool = False
) -> IO[bytes]:
    """Tells the compression by the first bytes, for names lie and streams have none."""
    stream: io.BufferedReader = io.BufferedReader(cast("io.RawIOBase", raw), 1 << 18)
    stack.callback(stream.detach)  # standard input stays open
    magic = stream.peek(6)[:6]
    if not magic and not may_be_empty:
        raise ArchiveError("cannot read the archive", path, "empty")
    if magic.startswith(b"\x1f\x8b"):
        import gzip

        return cast("IO[bytes]", gzip.GzipFile(fileobj=stream))
    if magic.startswith(b"BZh"):
        import bz2

        return cast("IO[bytes]", bz2.BZ2File(stream))
    if magic.startswith(b"\xfd7zXZ\0"):
        import lzma

        return cast("IO[bytes]", lzma.LZMAFile(stream))
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstd(stream, path, stack)
    return cast("IO[bytes]", stream)


def _zstd(stream: io.BufferedReader, path: str, stack: ExitStack) -> IO[bytes]:
    known = zstd.library()
    if known is not None:
        return cast("IO[bytes]", known.ZstdFile(stream))
    import shutil

    program = shutil.which("zstd")
    if program is None:
        reason = "compressed with zstd, which is not installed"
        raise ArchiveError("cannot read the archive", path, reason, hint=zstd.HINT)
    return stack.enter_context(_filter([program, "-dcq"], stream, path))


@contextmanager
def _filter(argv: list[str], stream: io.BufferedReader, path: str) -> Iterator[IO[bytes]]:
    """Pipes a stream through a program; a thread feeds it, since the stream may have been read
    ahead.
    """
    import shutil

    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def feed(pipe: IO[bytes]) -> None:
            try:
                with pipe:
                    shutil.copyfileobj(stream, pipe, 1 << 18)
            except BrokenPipeError:
                pass

        feeder = threading.Thread(target=feed, args=(process.stdin,))
        feeder.start()
        try:
            yield process.stdout
        finally:
            process.stdout.close()
            feeder.join()
    if process.returncode:
        raise ArchiveError("cannot read the archive", path, "damaged or cut off (zstd refuses it)")


def _library_errors() -> tuple[type[Exception], ...]:
    """Errors of libraries that are imported only where an archive needs them: some Pythons lack
    them.
    """
    known = {
        "gzip": "BadGzipFile",
        "lzma": "LZMAError",
        "compression.zstd": "ZstdError",
        "backports.zstd": "ZstdError",
    }
    return tuple(
        getattr(sys.modules[name], error) for name, error in known.items() if name in sys.modules
    )
