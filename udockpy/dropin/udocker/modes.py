"""udocker's execution modes, which a container keeps, and the engines that they mean here."""

from __future__ import annotations

import os

from udockpy.errors import UsageError
from udockpy.util import atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.store.containers import Container

DEFAULT = "UDOCKER_DEFAULT_EXECUTION_MODE"
# P: tracing, with and without seccomp; F: preloading; R and S: namespaces, by others' programs
ENGINES = {
    "P1": "trap",
    "P2": "ptrace",
    "F1": "preload",
    "F2": "preload",
    "F3": "preload",
    "F4": "preload",
    "R1": "userns",
    "R2": "userns",
    "R3": "userns",
    "S1": "userns",
}


def checked(mode: str) -> str:
    if mode not in ENGINES:
        raise UsageError("invalid execmode", mode, f"not one of {', '.join(ENGINES)}")
    return mode


def of(container: Container | None, environ: Mapping[str, str]) -> str:
    """The mode of a container; "" where nobody chose one: the best engine that works is taken."""
    if container is not None and os.path.exists(_file(container)):
        with open(_file(container), encoding="ascii") as file:
            return checked(file.read())
    return checked(environ[DEFAULT]) if environ.get(DEFAULT) else ""


def set_(container: Container, mode: str) -> None:
    atomic.write(_file(container), checked(mode).encode())


def _file(container: Container) -> str:
    return os.path.join(container.folder, "execmode")
