"""Looks for what forbids things on this node: reads what it can, and knocks at system calls."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import NamedTuple

from udockpy import native
from udockpy.util import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SYSCTLS = (
    "user.max_user_namespaces",
    "user.max_mnt_namespaces",
    "user.max_pid_namespaces",
    "kernel.unprivileged_userns_clone",
    "kernel.apparmor_restrict_unprivileged_userns",
    "kernel.yama.ptrace_scope",
    "kernel.seccomp.actions_avail",
)
# Inode numbers of the first namespaces: PROC_USER_INIT_INO of linux/proc_ns.h.
FIRST_USER_NAMESPACE = 0xEFFFFFFD

CLONE_NEWUSER = 0x10000000
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
PTRACE_ATTACH = 16
# Knocking: calls that change nothing, for their arguments are wrong, and which every kernel refuses
# with the same errno before it asks who is calling. Another errno comes from a filter before it.
KNOCKS: dict[str, tuple[tuple[int, ...], str]] = {
    "unshare": ((CLONE_NEWUSER | 1,), "EINVAL"),  # 1 is no flag of unshare(2)
    "mount": ((0, 0, 0, 0, 0), "EFAULT"),
    "ptrace": ((PTRACE_ATTACH, -1, 0, 0), "ESRCH"),
    "prctl": ((PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0, 0, 0), "EFAULT"),
}
# Files by which container runtimes are known.
CONTAINERS = {
    "/.dockerenv": "docker",
    "/run/.containerenv": "podman",
    "/.singularity.d": "apptainer",
    "/run/systemd/container": "systemd-nspawn",
}


class Tool(NamedTuple):
    """A program that is of use only with rights of its own."""

    path: str  # "" = it is not there
    privileged: bool = False  # set-user-id root, or with file capabilities
    nosuid: str = ""  # the mount that takes its rights away, "" = none


class Signs(NamedTuple):
    """What can be seen from inside. Nothing here is a conclusion."""

    sysctls: Mapping[str, str]  # those that exist
    answers: Mapping[str, str]  # errno of each call in KNOCKS
    filtered: bool = False  # this process is under a seccomp filter
    no_new_privs: bool = False
    user_namespaces: bool = True  # the kernel has them
    nested: bool = False  # this is not the first user namespace
    chroot: bool = False
    container: str = ""
    label: str = ""  # of AppArmor or SELinux
    modules: tuple[str, ...] = ()  # security modules, where they can be listed
    libexec_noexec: str = ""  # the mount that forbids the helpers to run
    subuids: bool = False  # /etc/subuid has a range for this user
    subgids: bool = False
    user: str = ""
    tools: Mapping[str, Tool] = {}  # newuidmap, newgidmap
    fuse: str = ""  # why /dev/fuse cannot be opened

    def meets_filter(self, call: str) -> bool:
        """Whether something answers a call before the kernel does."""
        return self.answers[call] != KNOCKS[call][1]


def gather() -> Signs:
    """The signs of this node, as this process sees them."""
    status = _status()
    user = _user()
    return Signs(
        sysctls=_sysctls(),
        answers={call: _knock(call) for call in KNOCKS},
        filtered=status.get("Seccomp") == "2",
        no_new_privs=status.get("NoNewPrivs") == "1",
        user_namespaces=os.path.exists("/proc/self/ns/user"),
        nested=_inode("/proc/self/ns/user") not in (0, FIRST_USER_NAMESPACE),
        chroot=not any(mount.target == "/" for mount in mounts()),
        container=next((name for path, name in CONTAINERS.items() if os.path.exists(path)), ""),
        label=_text("/proc/self/attr/current"),
        modules=tuple(filter(None, _text("/sys/kernel/security/lsm").split(","))),
        libexec_noexec=_noexec(native.LIBEXEC),
        subuids=_has_range("/etc/subuid", user),
        subgids=_has_range("/etc/subgid", user),
        user=user,
        tools={name: _tool(name) for name in ("newuidmap", "newgidmap")},
        fuse=_fuse(),
    )


class Mount(NamedTuple):
    """A line of mountinfo."""

    device: str  # MAJOR:MINOR
    target: str
    kind: str


def mounts() -> list[Mount]:
    """What is mounted, in the order in which it covers what was there before."""
    found = []
    for line in _text("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        found.append(Mount(fields[2], _unescape(fields[4]), after.split(" ")[0]))
    return found


def mount_of(path: str) -> Mount | None:
    """The mount that a path is on."""
    path = os.path.realpath(path)
    above = [m for m in mounts() if f"{path}/".startswith(f"{m.target.rstrip('/')}/")]
    # The longest, and of equals the last.
    return max(reversed(above), key=lambda m: len(m.target), default=None)


def _unescape(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def _knock(call: str) -> str:
    """The errno of a call that must fail."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_long(word) for word in KNOCKS[call][0]]
    result = getattr(libc, call)(*words)
    return errno.errorcode.get(ctypes.get_errno(), "?") if result else "0"


def _sysctls() -> dict[str, str]:
    files = {name: f"/proc/sys/{name.replace('.', '/')}" for name in SYSCTLS}
    return {name: _text(file) for name, file in files.items() if os.path.exists(file)}


def _status() -> dict[str, str]:
    lines = _text("/proc/self/status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _noexec(path: str) -> str:
    try:
        forbids = os.statvfs(path).f_flag & os.ST_NOEXEC
    except OSError:
        return ""
    return _mount_point(path) if forbids else ""


def _mount_point(path: str) -> str:
    mount = mount_of(path)
    return mount.target if mount else "/"


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _has_range(file: str, user: str) -> bool:
    owners = {line.partition(":")[0] for line in _text(file).splitlines()}
    return bool(owners & {user, str(os.getuid())})


def _tool(name: str) -> Tool:
    path = process.which(name)
    if not path:
        return Tool("")
    found = os.stat(path)
    set_id = bool(found.st_mode & 0o4000) and found.st_uid == 0
    nosuid = os.statvfs(path).f_flag & os.ST_NOSUID
    return Tool(path, set_id or _has_capabilities(path), _mount_point(path) if nosuid else "")


def _has_capabilities(path: str) -> bool:
    try:
        return bool(os.getxattr(path, "security.capability"))
    except OSError:
        return False


def _fuse() -> str:
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except OSError as e:
        return os.strerror(e.errno or 0)
    return ""


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _text(path: str) -> str:
    try:
        with open(path, errors="surrogateescape") as file:
            return file.read().strip("\n\0")
    except OSError:
        return ""
