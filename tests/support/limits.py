"""What an engine cannot do by its nature. The tests ask here, and docs/reference/limits.md is made
from here (scripts/limits)."""

from __future__ import annotations

from typing import NamedTuple

from udockpy.engines import ENGINES

# The reference tracer can do less, and says so on its own page.
TABLE = [name for name in ENGINES if name != "ptrace-py"]


class Limit(NamedTuple):
    """Something that engines lack: which ones, and why."""

    what: str  # as the documentation puts it
    engines: dict[str, str]


SIGNALS = "its calls are answered inside the program, by a handler that a debugger would stop"
TRANSLATES = "it translates paths and changes no namespace"
NARROW = "its code is of 64 bits, and 32-bit programs have no room for it"

LIMITS = {
    "i386": Limit("programs for i386", {"trap": NARROW, "preload": NARROW}),
    "foreign": Limit(
        "programs for another machine, by qemu-user",
        dict.fromkeys(
            ("trap", "ptrace", "preload"), "the kernel sees qemu's calls, not the program's"
        ),
    ),
    "tracer": Limit(
        "a debugger inside the guest (under `ptrace` strace neither)",
        {
            "trap": SIGNALS,
            "ptrace": "a process has one tracer, and the engine is it",
            "preload": SIGNALS,
        },
    ),
    "namespaces": Limit(
        "namespaces of the guest's own: `--pid`, `--ipc`, `--net`, `--hostname`",
        dict.fromkeys(("trap", "ptrace", "preload"), TRANSLATES),
    ),
    "subordinate ids": Limit(
        "the kernel's own owners, by subordinate ids (`map_subuids`)",
        dict.fromkeys(("trap", "ptrace", "preload"), TRANSLATES),
    ),
    "generated": Limit(
        "catching system calls of code that a program makes at run time",
        {
            "preload": "it rewrites code when that is loaded from a file; calls of other code"
            " (a JIT compiler's, a packer's) reach the host's files"
        },
    ),
    "host's root": Limit(
        "the host's own root directory as the guest's (`udockpy run /`)",
        {"userns": "the kernel does not mount a root directory over itself"},
    ),
    "no_new_privs": Limit(
        "leaving `no_new_privs` unset for a user who is not root",
        {"userns": "else a program could get rights over the guest's mounts"},
    ),
}


def lacks(engine: str, name: str) -> bool:
    """Whether an engine has a limit."""
    return engine in LIMITS[name].engines


HEAD = """# Limits of the engines

What an engine cannot do by its nature, so on any node. Where it can know, `--engine auto` takes one
that can: for an i386 program, say. This page is made by `scripts/limits` from what the tests of the
engines use (`tests/support/limits.py`).
"""


def page() -> str:
    """The page of the documentation: a table, and the reasons by number."""
    reasons: list[str] = []
    names = " | ".join(f"`{name}`" for name in TABLE)
    lines = [HEAD, f"| | {names} |", "|---" * (len(TABLE) + 1) + "|"]
    for limit in LIMITS.values():
        cells = [_cell(limit.engines.get(name, ""), reasons) for name in TABLE]
        lines.append(f"| {limit.what} | {' | '.join(cells)} |")
    numbered = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([*lines, "", *numbered]) + "\n"


def _cell(reason: str, reasons: list[str]) -> str:
    if not reason:
        return "yes"
    if reason not in reasons:
        reasons.append(reason)
    return f"no ({reasons.index(reason) + 1})"
