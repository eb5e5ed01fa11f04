"""What is said beside a guest's output, as Apptainer says it: on standard error, by level."""

from __future__ import annotations

import sys
from contextvars import ContextVar

from udockpy.errors import Error

FATAL, ERROR, WARNING, INFO, VERBOSE = -4, -3, -2, 1, 2
LEVEL: ContextVar[int] = ContextVar("level", default=INFO)


def fatal(text: str) -> None:
    _say(FATAL, "FATAL", text)


def warn(text: str) -> None:
    _say(WARNING, "WARNING", text)


def info(text: str) -> None:
    _say(INFO, "INFO", text)


def _say(level: int, name: str, text: str) -> None:
    if level <= LEVEL.get():
        print(f"{name + ':':<9}{text}", file=sys.stderr, flush=True)


class NoApp(Error):
    """The image has no such application; the script that looks for it in Apptainer ends with 1."""

    exit_code = 1
