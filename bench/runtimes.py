"""How each runtime is told to run a command in a tree."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

CLONE = Path(__file__).resolve().parent.parent
BASELINE = "chroot"
# What the guest's programs see, whatever runs them.
GUEST = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
SHARED = ("/proc", "/sys", "/dev")


@dataclass(frozen=True)
class Place:
    """Where things are and who runs them: what a runtime needs to know beside the tree."""

    work: Path
    user: pwd.struct_passwd
    proot: str

    @property
    def home(self) -> Path:
        """udockpy's own state."""
        return self.work / "home"

    @property
    def mounted(self) -> Path:
        """The root of the baseline."""
        return self.work / "root"

    def udockpy(self, *words: str, **settings: str) -> Command:
        """The product as its user has it."""
        environ = {
            "PATH": GUEST["PATH"],
            "HOME": self.user.pw_dir,
            "PYTHONPATH": str(CLONE),
            "PYTHONPYCACHEPREFIX": str(self.work / "pycache"),
            "UDOCKPY_HOME": str(self.home),
            "UDOCKPY_BIND_CWD": "no",
            "UDOCKPY_BIND_TMP": "no",
            **settings,
        }
        return Command((sys.executable, "-m", "udockpy", *words), environ, self.user)


@dataclass(frozen=True)
class Command:
    """Something to execute: its words, its environment, and who executes it (None: ourselves)."""

    argv: tuple[str, ...]
    environ: dict[str, str] = field(default_factory=lambda: dict(GUEST))
    user: pwd.struct_passwd | None = None

    def start(self, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
        how: dict[str, Any] = {}
        if self.user is not None and os.geteuid() == 0:
            how = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        process: subprocess.Popen[bytes] = subprocess.Popen(
            self.argv,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd="/",
            **how,
        )
        return process

    def output(self) -> bytes:
        """What it prints; raises RuntimeError with its complaint when it fails."""
        process = self.start(subprocess.PIPE, subprocess.PIPE)
        out, err = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(self.argv)}: {err.decode(errors='replace')}")
        return out


@dataclass(frozen=True)
class Runtime:
    """One column. `available` says what is missing, or nothing; `enter` gives the command that runs
    words in a tree as root, real or pretended.
    """

    name: str
    title: str
    available: Callable[[Place], str]
    enter: Callable[[Place, Path, Sequence[str]], Command]


def _chroot(place: Place, tree: Path, words: Sequence[str]) -> Command:
    """Through a bind mount, so that /proc and so on are not mounted in the tree of the others."""
    root = place.mounted
    root.mkdir(exist_ok=True)
    if root.stat().st_ino != tree.stat().st_ino:
        unmount(place)
        subprocess.run(["mount", "--bind", tree, root], check=True)
        for name in SHARED:
            subprocess.run(["mount", "--rbind", name, f"{root}{name}"], check=True)
    return Command(("chroot", str(root), *words))


def unmount(place: Place) -> None:
    """Takes away what the chroot mounted in the mount namespace that is ours."""
    # There may be none; os.path.ismount() cannot tell a bind mount within one file system.
    words = ("umount", "--recursive", "--lazy", str(place.mounted))
    subprocess.run(words, stderr=subprocess.DEVNULL, check=False)


def _engine(engine: str, **settings: str) -> Callable[[Place, Path, Sequence[str]], Command]:
    """The helper that udockpy would become: python's start is measured by a job of its own."""

    def enter(place: Place, tree: Path, words: Sequence[str]) -> Command:
        run = ("run", "--dry-run", "--json", "--root", "--engine", engine, str(tree), *words)
        launch = json.loads(place.udockpy(*run, **settings).output())["launch"]
        return Command(tuple(launch["argv"]), dict(GUEST), place.user)

    return enter


def _proot(place: Place, tree: Path, words: Sequence[str]) -> Command:
    binds = [word for name in SHARED for word in ("-b", name)]
    # Where PRoot itself filters calls, 5.4 leaves paths untranslated on recent kernels.
    environ = {**GUEST, "PROOT_NO_SECCOMP": "1"}
    argv = (place.proot, "-0", "-r", str(tree), *binds, "-w", "/", *words)
    return Command(argv, environ, place.user)


def _fakechroot(place: Place, tree: Path, words: Sequence[str]) -> Command:
    environ = {**GUEST, "FAKECHROOT_EXCLUDE_PATH": ":".join(SHARED)}
    return Command(("fakechroot", "fakeroot", "chroot", str(tree), *words), environ, place.user)


def _bwrap(place: Place, tree: Path, words: Sequence[str]) -> Command:
    argv = ["bwrap", "--unshare-user", "--uid", "0", "--gid", "0", "--bind", str(tree), "/"]
    for option, name in (("--bind", "/proc"), ("--bind", "/sys"), ("--dev-bind", "/dev")):
        argv += [option, name, name]
    return Command((*argv, *words), dict(GUEST), place.user)


def _needs_root(_: Place) -> str:
    return "" if os.geteuid() == 0 else "only root may chroot"


def _needs(*programs: str) -> Callable[[Place], str]:
    def available(_: Place) -> str:
        absent = [program for program in programs if not shutil.which(program)]
        return f"not installed: {', '.join(absent)}" if absent else ""

    return available


def _proot_available(place: Place) -> str:
    return "" if shutil.which(place.proot) else f"{place.proot}: not found (bench/fetch-proot)"


def _subuids(place: Place) -> str:
    try:
        return "" if f"{place.user.pw_name}:" in Path("/etc/subuid").read_text() else "no subuids"
    except OSError as e:
        return f"/etc/subuid: {e.strerror}"


RUNTIMES = (
    Runtime(BASELINE, "chroot", _needs_root, _chroot),
    Runtime("trap", "trap", _needs(), _engine("trap")),
    Runtime("ptrace", "ptrace", _needs(), _engine("ptrace")),
    Runtime("preload", "preload", _needs(), _engine("preload")),
    Runtime("userns", "userns (subuids)", _subuids, _engine("userns", UDOCKPY_MAP_SUBUIDS="yes")),
    Runtime("userns-pretend", "userns (pretended)", _needs(), _engine("userns")),
    Runtime("proot", "PRoot", _proot_available, _proot),
    Runtime("fakechroot", "fakechroot + fakeroot", _needs("fakechroot", "fakeroot"), _fakechroot),
    Runtime("bwrap", "bwrap", _needs("bwrap"), _bwrap),
)
