"""Where state lives: the only reader of HOME and XDG_*.

$UDOCKPY_HOME, else $XDG_DATA_HOME/udockpy, else ~/.local/share/udockpy
    images/                             an OCI layout of the images pulled
    trees/HEX/{rootfs,fakedb}           these images unpacked, by chain id; shared, never changed
    imported/NAME/{rootfs,fakedb}       images made from a directory or a plain archive
    files/HEX/{rootfs,fakedb}           images in single files, unpacked, by the digest of what they
                                        hold; files/KEY -> HEX, by the file itself
    containers/ID/{config.json,rootfs,fakedb,node}, names/NAME -> ../containers/ID
    sandboxes/KEY/{path,fakedb,node,owners}
                                        what is remembered of directories the user names
    builds/.ID/                         what is being built, until that is done
    build-cache/KEY, mounts/KEY         what instructions of Dockerfiles made; their cache mounts
    downloads/, locks/                  what is half there, and who works on what
    run/BOOT/                           running processes and caches of this node, until it reboots
"""

from __future__ import annotations

import os
from typing import NamedTuple

from udockpy.errors import StateError, reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

HINT = "set UDOCKPY_HOME to a directory you can write to"


class Home(NamedTuple):
    """The state directory, and that of the site, from which images are taken and nothing else."""

    path: str
    site_path: str = ""  # empty where there is none

    @property
    def site(self) -> Home | None:
        return Home(self.site_path) if self.site_path else None

    @property
    def images(self) -> str:
        return os.path.join(self.path, "images")

    @property
    def imported(self) -> str:
        return os.path.join(self.path, "imported")

    @property
    def trees(self) -> str:
        return os.path.join(self.path, "trees")

    @property
    def files(self) -> str:
        return os.path.join(self.path, "files")

    @property
    def builds(self) -> str:
        return os.path.join(self.path, "builds")

    @property
    def build_cache(self) -> str:
        return os.path.join(self.path, "build-cache")

    @property
    def downloads(self) -> str:
        return os.path.join(self.path, "downloads")

    @property
    def locks(self) -> str:
        return os.path.join(self.path, "locks")

    @property
    def containers(self) -> str:
        return os.path.join(self.path, "containers")

    @property
    def names(self) -> str:
        return os.path.join(self.path, "names")

    @property
    def sandboxes(self) -> str:
        return os.path.join(self.path, "sandboxes")

    @property
    def run(self) -> str:
        """Per boot: a home shared by nodes keeps them apart, and a reboot forgets."""
        return os.path.join(self.path, "run", boot_id())


def find(environ: Mapping[str, str]) -> Home:
    """The state directory that the environment asks for."""
    named = environ.get("UDOCKPY_HOME")
    path = os.path.abspath(named) if named else os.path.join(_data_directory(environ), "udockpy")
    site = environ.get("UDOCKPY_SITE_STORE")
    # Who fills the site's store has it as his own.
    return Home(path, os.path.abspath(site) if site and os.path.abspath(site) != path else "")


def config_file(environ: Mapping[str, str]) -> str:
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(user_home(environ), ".config")
    return os.path.join(base, "udockpy", "config")


def user_home(environ: Mapping[str, str]) -> str:
    """The user's home: $HOME, else what the password file says (batch jobs often have no HOME)."""
    home = environ.get("HOME")
    if home and home.startswith("/"):
        return home
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise StateError(
            "cannot find the state directory",
            f"user {os.getuid()}",
            "HOME is not set and the user has no entry",
            hint=HINT,
        ) from None


def make(path: str) -> str:
    """Makes a directory of the state, with its parents, and returns it."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as e:
        raise StateError("cannot use the state directory", path, reason_of(e), hint=HINT) from e
    if not os.access(path, os.W_OK | os.X_OK):
        reason = "the filesystem is read-only" if _read_only(path) else "not writable"
        raise StateError("cannot use the state directory", path, reason, hint=HINT)
    return path


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def _data_directory(environ: Mapping[str, str]) -> str:
    data = environ.get("XDG_DATA_HOME", "")
    # The XDG specification: relative paths are to be ignored.
    return data if data.startswith("/") else os.path.join(user_home(environ), ".local", "share")


def _read_only(path: str) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
