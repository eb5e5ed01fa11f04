"""Names that users give to images and containers."""

from __future__ import annotations

import re

from udockpy.errors import UsageError

VALID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")


def check(name: str) -> str:
    """Returns a usable name; it becomes a file name, and must not look like a path or an option."""
    if not VALID.fullmatch(name):
        hint = "use letters, digits, and _ . : - after the first"
        raise UsageError("bad name", name or "(empty)", "not allowed", hint=hint)
    return name
