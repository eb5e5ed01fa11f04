"""The trees that jobs run in, made once from a guest and packages of tests/world/prepare."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Callable

from bench.jobs import INSTALL
from bench.runtimes import BASELINE, Command, Place, unmount

SOURCES = Path(__file__).resolve().parent
REPOSITORY = "srv/bench/repository"
FILES, FOLDERS = 3000, 100
HELLO = (
    '#include <stdio.h>\n#include <stdlib.h>\n\nint main(void)\n{\n\treturn puts("hello") < 0;\n}\n'
)
SET_UP = f"""
set -e
{INSTALL}
cd /srv/bench
gcc -O2 -o micro micro.c
git config --system --add safe.directory '*'
git config --system core.checkStat minimal
git config --system user.name bench
git config --system user.email bench@example.org
cd /{REPOSITORY}
git init -q .
git add .
git commit -q -m files
"""


class Trees:
    """`base` is a fresh Debian with package lists and cached packages, `full` has them installed.

    They are the ordinary user's. `base-root` is the same `base` as root's, for the baseline.
    """

    def __init__(self, place: Place, world: Path) -> None:
        self._place = place
        self._world = world
        self.base = place.work / "base"
        self.full = place.work / "full"
        self._number = itertools.count()

    def make(self) -> None:
        self._once(self.base, self._make_base)
        self._once(self.full, self._make_full)
        if os.geteuid() == 0:
            self._once(self._base_of(BASELINE), self._make_base_of_root)

    def packages(self) -> int:
        """How many packages `apt-get install` installs."""
        counts = [
            (tree / "var/lib/dpkg/status").read_text().count("\nStatus: install ok installed")
            for tree in (self.base, self.full)
        ]
        return counts[1] - counts[0]

    def fresh(self, runtime: str) -> Path:
        """A new copy of `base`, on the disk already, for one run of one runtime.

        It stays until discard_fresh(): where ext4 has no journal, a file made within minutes of
        the removal of many takes several times as long (recently_deleted() of fs/ext4/ialloc.c).
        """
        tree = self._place.work / f"fresh{next(self._number)}"
        self._discard(tree)
        self._as_owner(
            runtime, "cp", "-a", "--reflink=auto", f"{self._base_of(runtime)}", f"{tree}"
        )
        os.sync()
        return tree

    def discard_fresh(self) -> None:
        for tree in self._place.work.glob("fresh*"):
            self._discard(tree)

    def _discard(self, tree: Path) -> None:
        """Removes a copy. Only root can when subordinate ids own something in it."""
        if tree.exists():
            if os.geteuid() == 0:
                unmount(self._place)
            shutil.rmtree(tree)

    def _base_of(self, runtime: str) -> Path:
        return self._place.work / "base-root" if runtime == BASELINE else self.base

    def _once(self, tree: Path, make: Callable[[Path], None]) -> None:
        """Makes a tree beside its place and moves it there when it is whole."""
        if tree.exists():
            return
        part = tree.with_suffix(".part")
        self._discard(part)
        make(part)
        part.rename(tree)

    def _as_owner(self, runtime: str, *argv: str) -> None:
        user = None if runtime == BASELINE else self._place.user
        Command(argv, user=user).output()

    def _make_base(self, tree: Path) -> None:
        self._as_owner("", "cp", "-a", str(self._world / "guests" / "bookworm"), str(tree))
        archives = [str(deb) for deb in (self._world / "debs").glob("*.deb")]
        self._as_owner("", "cp", *archives, str(tree / "var/cache/apt/archives"))
        self._guest(tree, "apt-get", "-qq", "update")

    def _make_full(self, tree: Path) -> None:
        self._as_owner("", "cp", "-a", str(self.base), str(tree))
        repository = tree / REPOSITORY
        self._as_owner("", "mkdir", "-p", str(repository))
        self._write(repository.parent / "micro.c", (SOURCES / "micro.c").read_text())
        self._write(repository.parent / "hello.c", HELLO)
        for number in range(FILES):
            folder = repository / f"folder{number % FOLDERS}"
            self._write(folder / f"file{number}", f"{number}\n")
        self._guest(tree, "/bin/sh", "-c", SET_UP)

    def _make_base_of_root(self, tree: Path) -> None:
        """Root's own pristine tree, with what the user's tree got since."""
        subprocess.run(["cp", "-a", self._world / "trees" / "bookworm", tree], check=True)
        shutil.rmtree(tree / "dev", ignore_errors=True)
        (tree / "dev").mkdir()
        for name in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(tree / name)
            subprocess.run(["cp", "-r", self.base / name, tree / name], check=True)

    def _write(self, path: Path, text: str) -> None:
        if not path.parent.exists():
            path.parent.mkdir()
            self._give(path.parent)
        path.write_text(text)
        self._give(path)

    def _give(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self._place.user.pw_uid, self._place.user.pw_gid)

    def _guest(self, tree: Path, *words: str) -> None:
        run = ("run", "--root", "--engine", "trap", "-e", "DEBIAN_FRONTEND=noninteractive")
        self._place.udockpy(*run, str(tree), *words).output()
