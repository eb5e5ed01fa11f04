"""Reads a squashfs 4.0 filesystem out of a file, without mounting it.

Source: the format as Linux has it in fs/squashfs. The content is not trusted: every number is
checked before it is used, and nothing is decompressed beyond the size that the format allows.
"""

from __future__ import annotations

import io
import lzma
import stat
import struct
import zlib
from typing import IO, Callable, NamedTuple

from udockpy.errors import ImageError
from udockpy.layer import zstd
from udockpy.layer.member import MAX_DEPTH, Kind, Member, clean_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"hsqs"
NONE = 0xFFFFFFFF
NO_TABLE = 0xFFFFFFFFFFFFFFFF
METADATA = 8192  # bytes of a block of metadata, decompressed
MAX_BLOCK = 1 << 20
STORED_METADATA = 0x8000  # set in sizes: the block is not compressed
STORED_DATA = 1 << 24
ATTRIBUTE_ELSEWHERE = 0x100
PREFIXES = ("user.", "trusted.", "security.")
MAX_ATTRIBUTES = 1 << 16

SUPERBLOCK = struct.Struct("<4s4I6H8Q")
HEADER = struct.Struct("<4H2I")
DIRECTORY = struct.Struct("<2I2HI")
LONG_DIRECTORY = struct.Struct("<4I2HI")
FILE = struct.Struct("<4I")
LONG_FILE = struct.Struct("<3Q4I")
COUNT = struct.Struct("<I")
TWO = struct.Struct("<2I")
LISTING = struct.Struct("<3I")
ENTRY = struct.Struct("<HhHH")
ROW = struct.Struct("<QII")  # of the tables of fragments and of attributes
POINTER = struct.Struct("<Q")

KINDS = {
    1: Kind.DIRECTORY,
    2: Kind.FILE,
    3: Kind.SYMLINK,
    4: Kind.BLOCK,
    5: Kind.CHARACTER,
    6: Kind.FIFO,
}
SOCKET = 7


class Superblock(NamedTuple):
    """The first 96 bytes."""

    magic: bytes
    inodes: int
    modified: int  # seconds since 1970
    block_size: int
    fragments: int
    compression: int
    block_log: int
    flags: int
    ids: int
    major: int
    minor: int
    root: int
    used: int
    id_table: int
    attribute_table: int
    inode_table: int
    directory_table: int
    fragment_table: int
    export_table: int


class Place(NamedTuple):
    """A place in a table of metadata: the block, from the table's start, and the byte in it."""

    block: int
    offset: int


class Inode(NamedTuple):
    """What the filesystem says of one file."""

    kind: int
    mode: int
    uid: int
    gid: int
    mtime: int
    number: int
    links: int = 1
    size: int = 0
    listing: Place = Place(0, 0)
    start: int = 0
    blocks: tuple[int, ...] = ()
    fragment: int = NONE
    fragment_offset: int = 0
    target: str = ""
    rdev: tuple[int, int] = (0, 0)
    attributes: int = NONE


class SquashfsReader:
    """The files of one filesystem, which begins at `offset` of a file."""

    def __init__(self, file: IO[bytes], subject: str, offset: int = 0) -> None:
        self.file = file
        self.subject = subject
        self.offset = offset
        head = self._at(0, SUPERBLOCK.size)
        self.super = Superblock._make(SUPERBLOCK.unpack(head))
        self._check_super()
        self.decompress = _decompressor(self.super.compression, subject)
        self.damage: tuple[type[Exception], ...] = (
            zlib.error,
            lzma.LZMAError,
            EOFError,
            *zstd.errors(),
        )
        self.blocks: dict[int, tuple[bytes, int]] = {}  # metadata by its place in the file
        self.data: tuple[int, bytes] = (-1, b"")  # the last block of fragments
        self.tables: dict[int, list[bytes]] = {}  # what _table() read, by its start
        ids = self._table(self.super.id_table, self.super.ids, COUNT.size)
        self.ids: list[int] = [COUNT.unpack(row)[0] for row in ids]
        self.seen: dict[int, str] = {}  # files with several names, by inode number

    def members(self) -> Iterator[Member]:
        """Every file, directories before what they hold, in the order of names."""
        root = self._inode(Place(self.super.root >> 16, self.super.root & 0xFFFF))
        if KINDS.get(root.kind) is not Kind.DIRECTORY:
            raise self._bad("its root is not a directory")
        yield self._member("", root)
        yield from self._walk("", root, (root.number,))

    def root_header(self) -> int | None:
        """The byte of the filesystem at which the root's inode begins; None: it is compressed."""
        at = self.super.inode_table + (self.super.root >> 16)
        (word,) = struct.unpack("<H", self._at(at, 2))
        return at + 2 + (self.super.root & 0xFFFF) if word & STORED_METADATA else None

    def _walk(self, folder: str, directory: Inode, above: tuple[int, ...]) -> Iterator[Member]:
        if len(above) > MAX_DEPTH:
            raise self._bad(f"{folder[:80]} is too deep")
        for name, place in self._listing(directory):
            path = clean_name(f"{folder}/{name}")
            inode = self._inode(place)
            if inode.kind == SOCKET:
                continue  # means nothing without its process
            member = self._member(path, inode)
            yield member
            if member.kind is Kind.DIRECTORY:
                if inode.number in above:
                    raise self._bad(f"the directory {path} contains itself")
                yield from self._walk(path, inode, (*above, inode.number))

    def _member(self, path: str, inode: Inode) -> Member:
        kind = KINDS.get(inode.kind)
        if kind is None:
            raise self._bad(f"{path}: a file of an unknown kind")
        if inode.links > 1 and kind is not Kind.DIRECTORY:
            first = self.seen.setdefault(inode.number, path)
            if first != path:
                return Member(path, Kind.HARDLINK, link=first)
        return Member(
            name=path,
            kind=kind,
            mode=stat.S_IMODE(inode.mode),
            uid=inode.uid,
            gid=inode.gid,
            mtime_ns=inode.mtime * 1_000_000_000,
            size=inode.size if kind is Kind.FILE else 0,
            link=inode.target,
            rdev=inode.rdev,
            xattrs=self._attributes(inode.attributes),
            content=(lambda: self._open(path, inode)) if kind is Kind.FILE else None,
        )

    def _open(self, path: str, inode: Inode) -> io.BufferedReader:
        return io.BufferedReader(_Content(self._content(path, inode)), self.super.block_size)

    def _content(self, path: str, inode: Inode) -> Iterator[bytes]:
        """The file, block by block."""
        left, at, size = inode.size, inode.start, self.super.block_size
        for word in inode.blocks:
            wanted = min(left, size)
            length = word & ~STORED_DATA
            block = (
                bytes(wanted) if not length else self._block(at, length, word, STORED_DATA, size)
            )
            if len(block) != wanted:
                raise self._bad(f"{path}: a block of its content has the wrong size")
            yield block
            left -= wanted
            at += length
        if left:
            rest = self._fragment(inode)[inode.fragment_offset :][:left]
            if len(rest) != left:
                raise self._bad(f"{path}: its last part is missing")
            yield rest

    def _fragment(self, inode: Inode) -> bytes:
        """The block that holds the ends of several files."""
        if inode.fragment >= self.super.fragments:
            raise self._bad("a file ends in a fragment that does not exist")
        if self.data[0] != inode.fragment:
            rows = self._table(self.super.fragment_table, self.super.fragments, ROW.size)
            at, word, _ = ROW.unpack(rows[inode.fragment])
            content = self._block(at, word & ~STORED_DATA, word, STORED_DATA, self.super.block_size)
            self.data = inode.fragment, content
        return self.data[1]

    def _listing(self, directory: Inode) -> Iterator[tuple[str, Place]]:
        """The names in a directory, with the places of their inodes."""
        left = directory.size - 3  # the format counts . and .. as three bytes
        cursor = _Cursor(self, self.super.directory_table, directory.listing)
        while left > 0:
            count, block, _ = LISTING.unpack(cursor.read(LISTING.size))
            left -= LISTING.size
            if count >= 256:
                raise self._bad("a directory is damaged")
            for _ in range(count + 1):
                offset, _, _, length = ENTRY.unpack(cursor.read(ENTRY.size))
                name = cursor.read(length + 1)
                left -= ENTRY.size + length + 1
                if b"/" in name or name in (b".", b".."):
                    raise self._bad(f"a directory holds the name {name!r}")
                yield name.decode("utf-8", "surrogateescape"), Place(block, offset)

    def _inode(self, place: Place) -> Inode:
        cursor = _Cursor(self, self.super.inode_table, place)
        kind, mode, uid, gid, mtime, number = HEADER.unpack(cursor.read(HEADER.size))
        if max(uid, gid) >= len(self.ids):
            raise self._bad("a file has an owner that is not in its table")
        base = Inode(kind, mode, self.ids[uid], self.ids[gid], mtime, number)
        if kind == 1:
            block, _, size, offset, _ = DIRECTORY.unpack(cursor.read(DIRECTORY.size))
            return base._replace(size=size, listing=Place(block, offset))
        if kind == 8:
            fields = LONG_DIRECTORY.unpack(cursor.read(LONG_DIRECTORY.size))
            _, size, block, _, _, offset, attributes = fields
            listing = Place(block, offset)
            return base._replace(kind=1, size=size, listing=listing, attributes=attributes)
        if kind in (2, 9):
            return self._file(cursor, base)
        long = kind >= 10
        base = base._replace(kind=kind - 7 if long else kind)
        if base.kind == 3:
            links, length = TWO.unpack(cursor.read(TWO.size))
            if length >= 4096:
                raise self._bad("a symbolic link is too long")
            base = base._replace(
                links=links, target=cursor.read(length).decode("utf-8", "surrogateescape")
            )
        elif base.kind in (4, 5):
            links, rdev = TWO.unpack(cursor.read(TWO.size))
            numbers = (rdev & 0xFFF00) >> 8, (rdev & 0xFF) | (rdev >> 12 & 0xFFF00)
            base = base._replace(links=links, rdev=numbers)
        elif base.kind in (6, SOCKET):
            base = base._replace(links=COUNT.unpack(cursor.read(COUNT.size))[0])
        else:
            raise self._bad(f"a file of the unknown kind {kind}")
        if long:
            base = base._replace(attributes=COUNT.unpack(cursor.read(COUNT.size))[0])
        return base

    def _file(self, cursor: _Cursor, base: Inode) -> Inode:
        if base.kind == 2:
            start, fragment, offset, size = FILE.unpack(cursor.read(FILE.size))
            links, attributes = 1, NONE
        else:
            fields = LONG_FILE.unpack(cursor.read(LONG_FILE.size))
            start, size, _, links, fragment, offset, attributes = fields
        count, rest = divmod(size, self.super.block_size)
        if rest and fragment == NONE:
            count += 1
        if count * 4 > self.super.used:
            raise self._bad("a file claims more blocks than there can be")
        return base._replace(
            kind=2,
            size=size,
            links=links,
            attributes=attributes,
            start=start,
            fragment=fragment,
            fragment_offset=offset,
            blocks=struct.unpack(f"<{count}I", cursor.read(4 * count)),
        )

    def _attributes(self, number: int) -> tuple[tuple[str, bytes], ...]:
        """Extended attributes, by their number in the table."""
        if number == NONE or self.super.attribute_table == NO_TABLE:
            return ()
        head = self._at(self.super.attribute_table, 16)
        values, count, _ = ROW.unpack(head)
        if number >= count:
            raise self._bad("a file has attributes that are not in their table")
        rows = self._table(self.super.attribute_table + 16, count, ROW.size)
        where, entries, _ = ROW.unpack(rows[number])
        if entries > MAX_ATTRIBUTES:
            raise self._bad("a file has too many attributes")
        cursor = _Cursor(self, values, Place(where >> 16, where & 0xFFFF))
        found = []
        for _ in range(entries):
            kind, length = struct.unpack("<HH", cursor.read(4))
            prefix = kind & ~ATTRIBUTE_ELSEWHERE
            if prefix >= len(PREFIXES):
                raise self._bad("a file has an attribute of an unknown kind")
            name = PREFIXES[prefix] + cursor.read(length).decode("utf-8", "surrogateescape")
            value = cursor.read(self._length(cursor))
            if kind & ATTRIBUTE_ELSEWHERE:
                (far,) = POINTER.unpack(value)
                other = _Cursor(self, values, Place(far >> 16, far & 0xFFFF))
                value = other.read(self._length(other))
            found.append((name, value))
        return tuple(found)

    def _length(self, cursor: _Cursor) -> int:
        (length,) = COUNT.unpack(cursor.read(COUNT.size))
        if length > 1 << 16:
            raise self._bad("an attribute is longer than attributes can be")
        return int(length)

    def _table(self, start: int, count: int, size: int) -> list[bytes]:
        """Rows of `size` bytes in blocks of metadata, whose places are listed at `start`."""
        if start in self.tables:
            return self.tables[start]
        if count * size > 1 << 28:
            raise self._bad("a table is too large")
        blocks = -(-count * size // METADATA)
        places = struct.unpack(f"<{blocks}Q", self._at(start, 8 * blocks))
        content = b"".join(self.metadata(place)[0] for place in places)
        if len(content) < count * size:
            raise self._bad("a table is cut short")
        rows = [content[at : at + size] for at in range(0, count * size, size)]
        self.tables[start] = rows
        return rows

    def metadata(self, at: int) -> tuple[bytes, int]:
        """The block of metadata at a place of the filesystem, and where the next one is."""
        found = self.blocks.get(at)
        if found is None:
            (word,) = struct.unpack("<H", self._at(at, 2))
            length = word & ~STORED_METADATA
            block = self._block(at + 2, length, word, STORED_METADATA, METADATA)
            if len(self.blocks) > 4096:
                self.blocks.clear()
            found = self.blocks[at] = block, at + 2 + length
        return found

    def _block(self, at: int, length: int, word: int, stored: int, limit: int) -> bytes:
        content = self._at(at, length)
        if not word & stored:
            try:
                content = self.decompress(content, limit)
            except self.damage as e:
                raise self._bad(f"a block at {at} is damaged: {e}") from e
        if len(content) > limit:
            raise self._bad(f"a block at {at} is too large")
        return content

    def _at(self, at: int, length: int) -> bytes:
        if at < 0 or at > 1 << 62:
            raise self._bad("it points outside the file")
        self.file.seek(self.offset + at)
        content = self.file.read(length)
        if len(content) != length:
            raise self._bad("it is cut short")
        return content

    def _check_super(self) -> None:
        found = self.super
        if found.magic != MAGIC:
            raise self._bad("not a squashfs filesystem")
        if (found.major, found.minor) != (4, 0):
            raise self._bad(f"squashfs {found.major}.{found.minor}, where 4.0 is known")
        if not 4096 <= found.block_size <= MAX_BLOCK or found.block_size != 1 << found.block_log:
            raise self._bad(f"a block size of {found.block_size} bytes")

    def _bad(self, reason: str) -> ImageError:
        return ImageError("cannot read the image", self.subject, reason)


class _Cursor:
    """Reads on through the blocks of a table."""

    def __init__(self, reader: SquashfsReader, table: int, place: Place) -> None:
        self.reader = reader
        self.block, self.next = reader.metadata(table + place.block)
        self.at = place.offset

    def read(self, length: int) -> bytes:
        parts = []
        while length > len(self.block) - self.at:
            part = self.block[self.at :]
            parts.append(part)
            length -= len(part)
            self.block, self.next = self.reader.metadata(self.next)
            self.at = 0
        parts.append(self.block[self.at : self.at + length])
        self.at += length
        return b"".join(parts)


class _Content(io.RawIOBase):
    """Blocks as a file."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks = blocks
        self.rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self.rest:
            block = next(self.blocks, None)
            if block is None:
                return 0
            self.rest = memoryview(block)
        length = min(len(buffer), len(self.rest))
        buffer[:length] = self.rest[:length]
        self.rest = self.rest[length:]
        return length


def _decompressor(number: int, subject: str) -> Callable[[bytes, int], bytes]:
    """The function that decompresses at most so many bytes."""
    if number == 1:
        return _inflate
    if number in (2, 4):
        return _lzma
    library = zstd.library() if number == 6 else None
    if library is not None:
        return lambda content, limit: library.ZstdDecompressor().decompress(content, limit + 1)
    name = {3: "lzo", 5: "lz4", 6: "zstd"}.get(number, f"method {number}")
    hint = zstd.HINT if number == 6 else "unpack it with unsquashfs, and use the directory"
    reason = f"its squashfs is compressed with {name}, which is not known here"
    raise ImageError("cannot read the image", subject, reason, hint=hint)


def _inflate(content: bytes, limit: int) -> bytes:
    return zlib.decompressobj().decompress(content, limit + 1)


def _lzma(content: bytes, limit: int) -> bytes:
    return lzma.LZMADecompressor().decompress(content, limit + 1)
