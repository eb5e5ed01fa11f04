"""Random sequences of calls that grow a tree: what one case after the other does not meet.

The seeds are fixed, so that a real root and every engine do the same.
"""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Iterator
from itertools import product
from typing import Callable

from rootlike.cases import (
    ACCESS,
    ACL_FULL,
    ACL_MINIMAL,
    ACTORS,
    CAPABILITY,
    DEFAULT,
    NULL_DEVICE,
    WORK,
    Case,
)

SEQUENCES = 100
LENGTH = 150
NAMES = ("a", "b", "c")
PATHS = ["/".join(names) for depth in (1, 2, 3) for names in product(NAMES, repeat=depth)]
MODES = (0o644, 0o755, 0o700, 0o777, 0o1777, 0o2775, 0o4711, 0o6755, 0o640, 0)
# Of links: none leads out of the tree, where a real root would do damage.
TARGETS = ("a", "b/c", f"{WORK}/a", f"{WORK}/b/c", f"{WORK}/c/a/b")
IDS = (0, 1000, 2000, 3000, -1)
GROUPS = (0, 50, 60, 1000, -1)
XATTRS = (
    "user.one 61",
    "trusted.one 62",
    f"security.capability {CAPABILITY}",
    f"{ACCESS} {ACL_FULL}",
    f"{ACCESS} {ACL_MINIMAL}",
    f"{DEFAULT} {ACL_FULL}",
)


class Sequence:
    """One of them, as it grows."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def path(self) -> str:
        return self.random.choice(PATHS[: self.random.choice((3, 12, len(PATHS)))])

    def mode(self) -> str:
        return f"0{self.random.choice(MODES):o}"

    def owner(self) -> str:
        return f"{self.random.choice(IDS)} {self.random.choice(GROUPS)}"

    def write(self) -> list[str]:
        how = os.O_WRONLY | self.random.choice((0, os.O_CREAT, os.O_CREAT, os.O_CREAT | os.O_TRUNC))
        # Opening without writing is a difference that is known, and so is making with set-id bits.
        mode = self.random.choice(MODES) & 0o1777
        return [f"open {self.path()} 0{how:o} 0{mode:o}", "write more"]

    def node(self) -> str:
        kind, device = self.random.choice(
            ((stat.S_IFIFO, 0), (stat.S_IFCHR, NULL_DEVICE), (stat.S_IFCHR, 0), (stat.S_IFSOCK, 0))
        )
        return f"mknod {self.path()} 0{kind | 0o666:o} {device}"

    def step(self) -> list[str]:
        """What one does next."""
        path, xattr = self.path(), self.random.choice(XATTRS)
        links = self.random.choice((0, 0x400))
        steps: tuple[Callable[[], list[str]], ...] = (
            lambda: self.write(),
            lambda: self.write(),
            lambda: [f"mkdir {path} {self.mode()}"],
            lambda: [f"mkdir {path} 0777"],
            lambda: [f"mkdir {path} 0755"],
            lambda: [self.node()],
            lambda: [f"symlink {self.random.choice(TARGETS)} {path}"],
            lambda: [f"link {path} {self.path()} {links}"],
            lambda: [f"rename {path} {self.path()} {self.random.choice((0, 0, 1, 2))}"],
            lambda: [f"unlink {path}"],
            lambda: [f"rmdir {path}"],
            lambda: [f"chmod {path} {self.mode()}"],
            lambda: [f"chmod {path} {self.mode()}"],
            lambda: [f"chown {path} {self.owner()}"],
            lambda: [f"lchown {path} {self.owner()}"],
            lambda: [f"truncate {path} {self.random.randrange(9)}"],
            lambda: [f"utimensat {path} 0 now now"],
            lambda: [f"utimensat {path} 0 100 200"],
            lambda: [f"setxattr {path} {xattr} 0"],
            lambda: [f"removexattr {path} {xattr.split()[0]}"],
            lambda: [f"access {path} {self.random.randrange(8)}", f"list {path}"],
            lambda: [f"umask 0{self.random.choice((0, 0o022, 0o077)):o}"],
        )
        return [*self.random.choice(steps)(), f"note {path}"]

    def lines(self) -> Iterator[str]:
        yield "umask 0"
        for name in NAMES:
            yield f"mkdir {name} 0777"
        for _ in range(LENGTH):
            yield ACTORS[self.random.choice(("root", "root", *ACTORS, "owner"))]
            yield from self.step()
        for path in PATHS:
            yield f"note {path}"


def sequences() -> Iterator[Case]:
    for seed in range(SEQUENCES):
        yield Case(f"sequence/{seed}", tuple(Sequence(seed).lines()))
