"""Which guests run: one record a process, believed while the process with that start time lives."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from udockpy import home as homes
from udockpy.home import Home
from udockpy.util import atomic


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
