"""The command udockpy, as its user has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.product import IMPORTED_FROM, text


class Udockpy:
    """Runs command lines. The engine is the one that the node allows."""

    def __init__(self, home: Path, cwd: Path) -> None:
        self.home = home
        self.cwd = cwd
        self.prefix: tuple[str, ...] = ()
        self.environ = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": os.fspath(cwd),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": IMPORTED_FROM,
            "PYTHONDONTWRITEBYTECODE": "1",
            "UDOCKPY_HOME": os.fspath(home),
        }

    def __call__(self, *words: str | Path, **how: Any) -> subprocess.CompletedProcess[bytes]:
        how.setdefault("stdin", None if "input" in how else subprocess.DEVNULL)
        how.setdefault("timeout", 60)
        if how["stdin"] is None:
            del how["stdin"]
        return subprocess.run(
            self.words(*words),
            cwd=self.cwd,
            env=self.environ,
            capture_output=True,
            check=False,
            **how,
        )

    def words(self, *words: str | Path) -> list[str]:
        return [*self.prefix, sys.executable, "-m", "udockpy", *map(os.fspath, words)]

    def output(self, *words: str | Path, **how: Any) -> str:
        """Standard output of a command that must succeed and say nothing else."""
        done = self(*words, **how)
        assert (done.returncode, done.stderr) == (0, b""), f"{done.returncode}: {text(done)}"
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    def refusal(self, *words: str | Path, status: int = 125, **how: Any) -> str:
        """What is said by a command that must fail: two lines at most, and no traceback."""
        done = self(*words, **how)
        said = done.stderr.decode("utf-8", "surrogateescape")
        assert done.returncode == status, f"{done.returncode}: {text(done)}"
        assert done.stdout == b""
        lines = said.splitlines()
        assert lines[0].startswith("udockpy: "), said
        assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("hint: ")), said
        return said

    def state(self) -> list[str]:
        """What images and containers there are, half made ones too."""
        folders = [self.home / name for name in ("imported", "trees", "containers", "names")]
        return sorted(
            f"{folder.name}/{name}"
            for folder in folders
            if folder.is_dir()
            for name in os.listdir(folder)
        )
