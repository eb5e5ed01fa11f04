"""Python's zstd: its own from 3.14 on, else the same as a package, if that is installed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

HINT = "install it: pip install udockpy[zstd]"


def library() -> Any:
    """The module, or None."""
    import importlib

    for name in ("compression.zstd", "backports.zstd"):
        with suppress(ImportError):
            return importlib.import_module(name)
    return None


def errors() -> tuple[type[Exception], ...]:
    """What the library raises for damaged content."""
    known = library()
    return () if known is None else (known.ZstdError,)
