"""What this node allows, found out by trying: each helper does the whole of what it would do for a
guest.

What was found is remembered until the next boot, as long as nothing it depends on looks different.
A no is believed for a minute only, and never when a run would fail for it: what cures it may be out
of sight (a security module's policy, a mount).
"""

from __future__ import annotations

import contextlib
import os
import time

from udockpy import home as homes
from udockpy import native
from udockpy.engines import ENGINES, ptrace_py
from udockpy.engines.interface import Host, Probe
from udockpy.errors import HelperError, StateError, reason_of
from udockpy.home import Home
from udockpy.util import atomic
from udockpy.util.process import capture

SYSCTLS = (
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
)
LIMITS = (b"NoNewPrivs:", b"Seccomp:", b"Seccomp_filters:", b"CapBnd:")


# Seconds for which a no is believed.
PATIENCE = 60


def gather(home: Home | None, *, fresh: bool = False) -> Host:
    """The facts about this node; `fresh` ones have all been tried now. `home` remembers them."""
    system = os.uname()
    surroundings = _surroundings(system.release) if home else None
    return Host(
        machine=system.machine,
        probes={
            **{
                name: _probe(home, engine.helper, surroundings, fresh=fresh)
                for name, engine in ENGINES.items()
            },
            ptrace_py.NAME: _look_for_python_ptrace(system.machine),
        },
        foreign=_foreign(),
    )


def memory(home: Home, helper: str) -> str:
    """The file where a helper's probe is remembered."""
    return os.path.join(home.run, f"{helper}.probe")


def _probe(home: Home | None, helper: str, surroundings: bytes | None, *, fresh: bool) -> Probe:
    try:
        path = native.helper(helper)
    except HelperError as e:
        return Probe(works=False, step="helper", reason=str(e), missing=True)
    if home is None or surroundings is None:
        return _try(path)
    # The user and his node are in the name of the folder, the helper's build in the content.
    file = memory(home, helper)
    key = surroundings + f"{path} {os.stat(path).st_mtime_ns}\n".encode()
    probe = None if fresh else _recall(file, key)
    if probe is None:
        probe = _try(path)
        _remember(file, key, probe)
    return probe


def _remember(file: str, key: bytes, probe: Probe) -> None:
    """One line, then the key: what was found, and for a no also when."""
    answer = "\t".join(
        ("yes", *probe.lacks)
        if probe.works
        else ("no", str(_now()), probe.step, probe.error, probe.reason)
    )
    # A memory that cannot be written costs time, and is somebody else's to complain about.
    with contextlib.suppress(OSError, StateError):
        homes.make(os.path.dirname(file))
        atomic.write(file, answer.encode() + b"\n" + key)


def _recall(file: str, key: bytes) -> Probe | None:
    answer, _, found_key = _content(file).partition(b"\n")
    if found_key != key:
        return None
    word, *rest = answer.decode().split("\t")
    if word == "yes":
        return Probe(works=True, lacks=tuple(rest))
    when, step, error, reason = rest
    if not 0 <= _now() - int(when) < PATIENCE:
        return None
    return Probe(works=False, step=step, error=error, reason=reason)


def _now() -> int:
    """Seconds since the boot, which is as long as anything is remembered."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME))


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
            lacks = tuple(name for name, value in answer.items() if value is False)
            return Probe(works=True, lacks=lacks)
        step, error = str(answer["step"]), str(answer["errno"])
        return Probe(works=False, step=step, error=error, reason=_reason(error))
    except (ValueError, KeyError, TypeError):
        return Probe(works=False, step="probe", reason=f"the helper died (wait status {status})")


def _look_for_python_ptrace(machine: str) -> Probe:
    """Not tried, for that would take as long as all the others: whether its parts are there."""
    from importlib.machinery import PathFinder

    if machine != ptrace_py.MACHINE:
        reason = f"it is written for {ptrace_py.MACHINE}, this is {machine}"
        return Probe(works=False, step="machine", reason=reason)
    if PathFinder.find_spec(ptrace_py.MODULE) is None:
        return Probe(works=False, step=ptrace_py.MODULE, reason="python-ptrace is not installed")
    try:
        native.library(ptrace_py.PtracePy.helper)
    except HelperError as e:
        return Probe(works=False, step="helper", reason=str(e), missing=True)
    return Probe(works=True)


def _reason(error: str) -> str:
    """The words for an errno that a helper names."""
    import errno

    number = getattr(errno, error, None)
    return os.strerror(number) if isinstance(number, int) else error


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
