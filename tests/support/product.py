"""The product as its user has it: a command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import udockpy
from support.world import TREE

SECONDS = 60
LOCKDOWN = TREE / "tests" / "world" / "lockdown.py"
# Where the package is imported from, so that a checkout is tested as well as an installation.
IMPORTED_FROM = str(Path(udockpy.__file__).resolve().parent.parent)

# udockpy's own exit statuses
ENGINE_REFUSED = 123
FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127


@dataclass(frozen=True)
class Product:
    """The command udockpy with one engine, and with a state of its own."""

    engine: str
    home: Path
    lock: tuple[str, ...] = ()  # lockdown words: the node that it runs on
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self, **more: str) -> dict[str, str]:
        """Little, and nothing bound into guests but what a test asks for."""
        here = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": os.path.expanduser("~"),
            "LC_ALL": "C",
            "PYTHONPATH": IMPORTED_FROM,
            "PYTHONDONTWRITEBYTECODE": "1",
            "UDOCKPY_HOME": str(self.home),
            "UDOCKPY_BIND_HOME": "no",
            "UDOCKPY_BIND_CWD": "no",
            "UDOCKPY_BIND_TMP": "no",
        }
        return {**here, **self.settings, **more}

    def words(
        self, sandbox: Path, command: Sequence[str], options: Sequence[str] = ()
    ) -> list[str]:
        """The whole command line of a run."""
        node = [sys.executable, str(LOCKDOWN), *self.lock, "--"] if self.lock else []
        run = [sys.executable, "-m", "udockpy", "run", "--engine", self.engine, *options]
        return [*node, *run, str(sandbox), *command]

    def run(
        self,
        sandbox: Path,
        *command: str,
        options: Sequence[str] = (),
        environ: dict[str, str] | None = None,
        timeout: float = SECONDS,
        **how: Any,
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs a command in a guest to its end, with both outputs kept apart."""
        how.setdefault("stdout", subprocess.PIPE)
        how.setdefault("stderr", subprocess.PIPE)
        if "input" not in how:
            how.setdefault("stdin", subprocess.DEVNULL)
        how.setdefault("cwd", "/")
        return subprocess.run(
            self.words(sandbox, command, options),
            env=self.environment() if environ is None else environ,
            timeout=timeout,
            check=False,
            **how,
        )

    def shell(self, sandbox: Path, script: str, **how: Any) -> subprocess.CompletedProcess[bytes]:
        return self.run(sandbox, "/bin/sh", "-c", script, **how)

    def output(self, sandbox: Path, *command: str, **how: Any) -> str:
        """Standard output of a command that must succeed and say nothing else."""
        done = self.run(sandbox, *command, **how)
        assert (done.returncode, done.stderr) == (0, b""), f"{done.returncode}: {text(done)}"
        return done.stdout.decode()

    def start(
        self, sandbox: Path, *command: str, options: Sequence[str] = (), **how: Any
    ) -> subprocess.Popen[bytes]:
        """Starts a command in a guest and does not wait for it."""
        how.setdefault("env", self.environment())
        how.setdefault("stdin", subprocess.DEVNULL)
        how.setdefault("cwd", "/")
        return subprocess.Popen(self.words(sandbox, command, options), **how)


def text(done: subprocess.CompletedProcess[bytes]) -> str:
    """What a command wrote, for the message of a failed assertion."""
    both = (done.stdout or b"") + b"\n--\n" + (done.stderr or b"")
    return both.decode(errors="replace")[-4000:]
