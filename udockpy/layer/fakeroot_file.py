"""The file in which fakeroot(1) keeps its memory between runs (-s, -i): one line a file, known by
device and inode number.

    dev=fd01,ino=131,mode=100644,uid=0,gid=0,nlink=1,rdev=0

dev is hexadecimal, mode octal. It knows neither birth times nor extended attributes.
"""

from __future__ import annotations

import os
import re
import stat

from udockpy.layer.fakedb import MODE, NODE, OWNER, Key, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LINE = re.compile(
    r"dev=([0-9a-f]+),ino=(\d+),mode=([0-7]+),uid=(\d+),gid=(\d+),nlink=\d+,rdev=(\d+)"
)


def parse(lines: Iterable[str]) -> Iterator[tuple[Key, Record]]:
    """What the lines say of files; ValueError names the first that is not understood."""
    for number, line in enumerate(lines, 1):
        found = LINE.fullmatch(line.rstrip("\n"))
        if found is None:
            raise ValueError(f"line {number} is none of fakeroot's")
        dev, mode = int(found[1], 16), int(found[3], 8)
        ino, uid, gid, rdev = (int(found[i]) for i in (2, 4, 5, 6))
        node = NODE if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else 0
        yield (
            Key(ino, os.major(dev), os.minor(dev)),
            Record(OWNER | MODE | node, uid, gid, mode, (os.major(rdev), os.minor(rdev))),
        )


def format(records: Iterable[tuple[Key, Record]], unknown: tuple[int, int]) -> Iterator[str]:
    """The lines for all records that have a mode; `unknown` owns the files of which no owner is
    remembered.
    """
    for key, record in records:
        if not (record.has & MODE and stat.S_IFMT(record.mode)):
            continue
        uid, gid = (record.uid, record.gid) if record.has & OWNER else unknown
        dev = os.makedev(key.dev_major, key.dev_minor)
        rdev = os.makedev(*record.rdev) if record.has & NODE else 0
        yield (
            f"dev={dev:x},ino={key.ino},mode={record.mode:o},uid={uid},gid={gid},"
            f"nlink=1,rdev={rdev}\n"
        )
