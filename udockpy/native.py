"""Finds the native helpers, which lie inside the package so that it can be moved anywhere."""

from __future__ import annotations

import os

from udockpy.errors import HelperError

LIBEXEC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libexec")
HINT = "reinstall udockpy, or build the helpers with make -C engines install"


def helper(name: str) -> str:
    """The path of a helper program, or HelperError when it cannot be run."""
    path = library(name)
    if not os.access(path, os.X_OK):
        raise HelperError("cannot run a helper", path, "not executable", hint=HINT)
    if os.statvfs(path).f_flag & os.ST_NOEXEC:
        raise HelperError(
            "cannot run a helper",
            path,
            "its filesystem is mounted noexec",
            hint="install udockpy elsewhere",
        )
    return path


def library(name: str) -> str:
    """The path of a file in libexec."""
    path = os.path.join(LIBEXEC, name)
    if not os.path.isfile(path):
        raise HelperError("cannot find a helper", path, "no such file", hint=HINT)
    return path
