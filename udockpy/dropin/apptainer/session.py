"""Directories of one run: what --contain and --scratch show instead of the host's. They go with it,
unless --workdir says where they are to be.
"""

from __future__ import annotations

import os

from udockpy.container.plan import Bind
from udockpy.util import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


class Session:
    """Made when the first directory is asked for. Use as a context manager."""

    def __init__(self, workdir: str, environ: Mapping[str, str]) -> None:
        self.workdir = os.path.abspath(workdir) if workdir else ""
        self.base = temporary(environ)
        self.scratch = ""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        if self.scratch:
            tree.remove(self.scratch)

    @property
    def used(self) -> bool:
        """Whether something is to be removed after the run."""
        return bool(self.scratch)

    def folder(self, name: str, *, mode: int = 0o755) -> str:
        """A directory for the guest, of which the work directory keeps what is in it."""
        path = os.path.join(self.workdir or self._own(), name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        return path

    def devices(self) -> list[Bind]:
        """A /dev with little in it."""
        folder = os.path.join(self._own(), "dev")
        os.makedirs(f"{folder}/shm")
        os.chmod(f"{folder}/shm", 0o1777)
        os.mkdir(f"{folder}/pts")
        for name, text in LINKS.items():
            os.symlink(text, f"{folder}/{name}")
        nodes = [name for name in DEVICES if os.path.exists(f"/dev/{name}")]
        for name in nodes:
            os.close(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        binds = [Bind(folder, "/dev"), Bind("/dev/pts", "/dev/pts")]
        return [*binds, *(Bind(f"/dev/{name}", f"/dev/{name}") for name in nodes)]

    def _own(self) -> str:
        if not self.scratch:
            import tempfile

            self.scratch = tempfile.mkdtemp(prefix="udockpy-session-", dir=self.base)
        return self.scratch


def temporary(environ: Mapping[str, str]) -> str:
    """Where temporary files go."""
    for name in ("APPTAINER_TMPDIR", "SINGULARITY_TMPDIR", "TMPDIR"):
        if environ.get(name):
            return environ[name]
    return "/tmp"
