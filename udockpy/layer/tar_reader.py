"""Reads a tar archive, compressed or not, from a file or from standard input."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zlib
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import IO, BinaryIO, Callable, cast

from udockpy.errors import ArchiveError
from udockpy.layer.member import Kind, Member, clean_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from typing_extensions import Self

XATTR = "SCHILY.xattr."
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
        try:
            yield _members(_decompressed(raw, path, stack))
        except (tarfile.TarError, EOFError, zlib.error, _lzma_error()) as e:
            raise ArchiveError(
                "cannot read the archive", path, f"damaged, cut off or no tar archive ({e})"
            ) from e


class _Entry(tarfile.TarInfo):
    """tarfile takes a damaged header, and the end of the file, for the end of the archive; here
    only its end mark is.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as e:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise  # the end mark
            raise tarfile.ReadError("no end mark" if not buf else str(e)) from None


def _members(stream: IO[bytes]) -> Iterator[Member]:
    with tarfile.open(
        fileobj=stream, mode="r|", bufsize=1 << 18, tarinfo=_Entry, encoding="utf-8"
    ) as archive:
        for entry in archive:
            yield _member(entry, archive)
            # A reader of streams keeps every header it saw; nothing here looks back.
            archive.members = []  # type: ignore[attr-defined]
    while stream.read(1 << 18):
        pass  # the checksum of a compressed stream is at its end


def _member(entry: tarfile.TarInfo, archive: tarfile.TarFile) -> Member:
    kind = Kind.FILE if entry.isreg() else KINDS.get(entry.type)
    if kind is None:
        raise ArchiveError("cannot unpack", entry.name, f"unknown member type {entry.type!r}")
    return Member(
        name=clean_name(entry.name),
        kind=kind,
        mode=entry.mode & 0o7777,
        uid=entry.uid,
        gid=entry.gid,
        mtime_ns=int(entry.mtime * 1_000_000_000),
        size=entry.size if kind is Kind.FILE else 0,
        link=clean_name(entry.linkname) if kind is Kind.HARDLINK else entry.linkname,
        rdev=(entry.devmajor, entry.devminor),
        xattrs=_xattrs(entry.pax_headers),
        content=cast("Callable[[], BinaryIO]", partial(archive.extractfile, entry))
        if kind is Kind.FILE
        else None,
    )


def _xattrs(headers: Mapping[str, str]) -> tuple[tuple[str, bytes], ...]:
    # tarfile decodes every value as UTF-8 with surrogate escapes, which gives binary ones back
    # unharmed.
    found = ((key[len(XATTR) :], value) for key, value in headers.items() if key.startswith(XATTR))
    return tuple((key, value.encode("utf-8", "surrogateescape")) for key, value in found)


def _decompressed(raw: IO[bytes], path: str, stack: ExitStack) -> IO[bytes]:
    """Tells the compression by the first bytes, for names lie and streams have none."""
    stream: io.BufferedReader = io.BufferedReader(cast("io.RawIOBase", raw), 1 << 18)
    stack.callback(stream.detach)  # standard input stays open
    magic = stream.peek(6)[:6]
    if not magic:
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
    if sys.version_info >= (3, 14):
        from compression import zstd

        return cast("IO[bytes]", zstd.ZstdFile(stream))
    import shutil

    program = shutil.which("zstd")
    if program is None:
        hint = "install the program zstd, or use Python 3.14"
        raise ArchiveError(
            "cannot read the archive",
            path,
            "compressed with zstd, which is not installed",
            hint=hint,
        )
    return stack.enter_context(_filter([program, "-dcq"], stream, path))


@contextmanager
def _filter(argv: list[str], stream: io.BufferedReader, path: str) -> Iterator[IO[bytes]]:
    """Pipes a stream through a program; a thread feeds it, since the stream may have been read
    ahead.
    """
    import shutil
    import threading

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


def _lzma_error() -> type[Exception]:
    """lzma.LZMAError, without importing lzma (some Pythons lack it) where no archive needs it."""
    lzma = sys.modules.get("lzma")
    return lzma.LZMAError if lzma else tarfile.TarError
