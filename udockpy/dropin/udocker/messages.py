"""What is said beside a guest's output, as udocker says it, on standard error."""

from __future__ import annotations

import sys
from contextvars import ContextVar

QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


def error(text: str) -> None:
    print(f"Error: {text}", file=sys.stderr, flush=True)


def warn(text: str) -> None:
    if not QUIET.get():
        print(f"Warning: {text}", file=sys.stderr, flush=True)


def info(text: str) -> None:
    if not QUIET.get():
        print(f"Info: {text}", file=sys.stderr, flush=True)
