"""Which guests run: one record a process, believed while the process with that start time lives."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import NamedTuple

from udockpy import home as homes
from udockpy.home import Home
from udockpy.util import atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Running(NamedTuple):
    """A guest's first process on this node."""

    pid: int
    start: str  # the process's start time: pids are reused
    engine: str
    target: str
    command: tuple[str, ...]


def record(home: Home, pid: int, *, engine: str, target: str, command: tuple[str, ...]) -> str:
    """Notes a guest about to start in process `pid`; returns the file, for forget()."""
    folder = homes.make(home.run)
    path = os.path.join(folder, str(pid))
    fields = (str(pid), start_time(pid) or "", engine, target, *command)
    atomic.write(path, "\0".join(fields).encode("utf-8", "surrogateescape"))
    return path


def forget(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def listing(home: Home) -> list[Running]:
    """The guests that run; records of finished ones are dropped on the way."""
    try:
        found = sorted((name for name in os.listdir(home.run) if name.isdigit()), key=int)
    except FileNotFoundError:
        return []
    alive = []
    for name in found:
        path = os.path.join(home.run, name)
        guest = _read(path)
        if guest is not None and start_time(guest.pid) == guest.start:
            alive.append(guest)
        else:
            forget(path)
    return alive


def end(guest: Running, number: int) -> None:
    """Sends a signal to a guest's first process; SIGKILL, which nobody can pass on, to all that it
    started, too.
    """
    pids = [guest.pid, *(_descendants(guest.pid) if number == signal.SIGKILL else ())]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait(guests: Iterable[Running], seconds: float) -> bool:
    """Waits until none of the guests lives; False when that takes too long."""
    left = list(guests)
    deadline = time.monotonic() + seconds
    while left := [guest for guest in left if start_time(guest.pid) == guest.start]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _descendants(pid: int) -> list[int]:
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    found = [pid]
    for parent in found:
        found += [child for child, above in parents.items() if above == parent]
    return found[1:]


def start_time(pid: int) -> str | None:
    """Field 22 of /proc/PID/stat, or None when there is no such process (any more)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == b"Z" else fields[19].decode()


def _read(path: str) -> Running | None:
    try:
        with open(path, "rb") as file:
            pid, start, engine, target, *command = (
                file.read().decode("utf-8", "surrogateescape").split("\0")
            )
        return Running(int(pid), start, engine, target, tuple(command))
    except (FileNotFoundError, ValueError):
        return None
