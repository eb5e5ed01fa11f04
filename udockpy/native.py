"""Finds the native helpers, which lie inside the package so that it can be moved anywhere."""

from __future__ import annotations

import os
from typing import NamedTuple

from udockpy.errors import HelperError, reason_of

LIBEXEC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libexec")
BUILD = "BUILD"  # in libexec: what was installed together
HINT = "reinstall udockpy, or build the helpers with make -C engines install"


def helper(name: str) -> str:
    """The path of a helper program, or HelperError when it cannot be run."""
    path = library(name)
    # First, for on such a mount nothing is executable.
    if os.statvfs(path).f_flag & os.ST_NOEXEC:
        raise HelperError(
            "cannot run a helper",
            path,
            "its filesystem is mounted noexec",
            hint="install udockpy elsewhere",
        )
    if not os.access(path, os.X_OK):
        raise HelperError("cannot run a helper", path, "not executable", hint=HINT)
    return path


class Health(NamedTuple):
    """A file of libexec, and what is wrong with it ("" = nothing)."""

    name: str
    problem: str = ""


def health(version: str, machine: str) -> list[Health]:
    """Compares libexec with the list that its build left there."""
    import hashlib

    path = os.path.join(LIBEXEC, BUILD)
    try:
        with open(path) as file:
            built, *lines = file.read().splitlines()
    except (OSError, ValueError) as e:
        return [Health(BUILD, f"{path} cannot be read ({e})")]
    wrong = [Health(BUILD, f"built as {built}, this is {version} {machine}")]
    found = wrong if built != f"{version} {machine}" else []
    for line in lines:
        digest, _, name = line.partition("  ")
        try:
            with open(library(name), "rb") as binary:
                same = hashlib.sha256(binary.read()).hexdigest() == digest
            if name.endswith(".so") or helper(name):
                found.append(Health(name, "" if same else "not the file that was built"))
        except HelperError as e:
            found.append(Health(name, e.reason))
        except OSError as e:
            found.append(Health(name, reason_of(e)))
    return found


def library(name: str) -> str:
    """The path of a file in libexec."""
    path = os.path.join(LIBEXEC, name)
    if not os.path.isfile(path):
        raise HelperError("cannot find a helper", path, "no such file", hint=HINT)
    return path
