"""What this node allows, found out by trying: each helper does the whole of what it would do for a
guest.

A yes is remembered until the next boot, as long as nothing it depends on looks different. A no is
never remembered: an administrator or another batch node may cure it at any moment.
"""

from __future__ import annotations

import os

from udockpy import home as homes
from udockpy import native
from udockpy.engines.interface import Host, Probe
from udockpy.errors import HelperError, reason_of
from udockpy.home import Home
from udockpy.util import atomic
from udockpy.util.process import capture

SYSCTLS = (
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
)
LIMITS = (b"NoNewPrivs:", b"Seccomp:", b"Seccomp_filters:", b"CapBnd:")


def gather(home: Home) -> Host:
    """The facts about this node."""
    system = os.uname()
    surroundings = _surroundings(system.release)
    return Host(
        machine=system.machine,
        userns=_remembered(home, "udockpy-userns", surroundings),
        trap=_remembered(home, "udockpy-trap", surroundings),
        foreign=_foreign(),
    )


def _remembered(home: Home, helper: str, surroundings: bytes | None) -> Probe:
    try:
        path = native.helper(helper)
    except HelperError as e:
        return Probe(works=False, step="helper", reason=str(e), missing=True)
    if surroundings is None:
        return _try(path)
    # The user and his node are in the name of the folder, the helper's build in the content.
    file = os.path.join(home.run, f"{helper}.works")
    expected = surroundings + f"{path} {os.stat(path).st_mtime_ns}\n".encode()
    if _content(file) == expected:
        return Probe(works=True)
    probe = _try(path)
    if probe.works:
        homes.make(home.run)
        atomic.write(file, expected)
    return probe


def _try(path: str) -> Probe:
    import json

    try:
        status, output = capture([path, "--probe"], environ={})
    except OSError as e:
        return Probe(
            works=False,
            step="helper",
            reason=f"{path} cannot be run ({reason_of(e)})",
            missing=True,
        )
    try:
        answer = json.loads(output)
        if answer["works"]:
            return Probe(works=True)
        return Probe(works=False, step=str(answer["step"]), reason=_reason(answer["errno"]))
    except (ValueError, KeyError, TypeError):
        return Probe(works=False, step="probe", reason=f"the helper died (wait status {status})")


def _reason(error: object) -> str:
    """The words for an error that a helper names: EPERM, or already in words."""
    import errno

    number = getattr(errno, str(error), None)
    return os.strerror(number) if isinstance(number, int) else str(error)


def _surroundings(release: str) -> bytes | None:
    """What a yes depends on; None where it must not be remembered."""
    limits = [
        line for line in _content("/proc/self/status").splitlines() if line.startswith(LIMITS)
    ]
    # Which calls a filter refuses cannot be read, so under one every run tries anew.
    if not any(line.split() == [b"Seccomp:", b"0"] for line in limits):
        return None
    spaces = [os.readlink(f"/proc/self/ns/{name}").encode() for name in ("user", "mnt")]
    label = _content("/proc/self/attr/current")
    parts = [
        release.encode(),
        str(os.getuid()).encode(),
        *limits,
        *spaces,
        label,
        *map(_content, SYSCTLS),
    ]
    return b"\n".join(part.strip(b"\n\0") for part in parts) + b"\n"


def _foreign() -> tuple[str, ...]:
    """Machines whose programs the kernel hands to an emulator."""
    try:
        names = os.listdir("/proc/sys/fs/binfmt_misc")
    except OSError:
        return ()
    return tuple(sorted(name[len("qemu-") :] for name in names if name.startswith("qemu-")))


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
