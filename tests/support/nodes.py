"""The nodes that lockdown.py makes: what each forbids, so which engines it rules out, and who is
to blame."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

from support.product import LOCKDOWN

# Engines that answer the guest's calls themselves; all of them pretend.
TRANSLATORS = ("trap", "ptrace", "preload")
FILTER = "seccomp filter"
HOME = "HOME"  # in the words of a node: the home of whoever is on it


class Node(NamedTuple):
    """A node, which engines it forbids, and who does."""

    lock: tuple[str, ...]
    forbids: dict[str, str]
    certain: bool = True

    def words(self, home: str | Path) -> tuple[str, ...]:
        """lockdown.py's options."""
        return tuple(os.fspath(home) if word == HOME else word for word in self.lock)

    def prefix(self, home: str | Path) -> tuple[str, ...]:
        """What stands before a command that is to run on the node."""
        if not self.lock:
            return ()
        return (sys.executable, os.fspath(LOCKDOWN), *self.words(home), "--")

    def pretends(self) -> bool:
        """Whether some engine can pretend to be root here."""
        return not set(TRANSLATORS) <= set(self.forbids)


NODES = {
    "open": Node((), {}),
    "no user namespaces": Node(("--no-userns",), {"userns": FILTER}),
    "EACCES": Node(("--no-userns=EACCES",), {"userns": FILTER}),
    "ENOSPC by a filter": Node(("--no-userns=ENOSPC",), {"userns": FILTER}),
    # Without CONFIG_USER_NS the kernel says the same.
    "EINVAL by a filter": Node(("--no-userns=EINVAL",), {"userns": FILTER}, certain=False),
    "limit of the kernel": Node(("--userns-limit",), {"userns": "sysctl"}),
    # A user namespace can be made, and is of no use.
    "no id maps": Node(("--read-only", "/proc"), {"userns": "read-only /proc"}),
    "no mounts": Node(("--no-mount",), {"userns": FILTER}),
    "no ptrace": Node(("--no-ptrace",), {"ptrace": FILTER}),
    "no filters": Node(("--no-seccomp",), {"trap": FILTER}),
    "no code of one's own": Node(("--no-own-code",), {"preload": FILTER}, certain=False),
    "no user namespaces, no ptrace": Node(
        ("--no-userns", "--no-ptrace"), {"userns": FILTER, "ptrace": FILTER}
    ),
    "no user namespaces, no filters": Node(
        ("--no-userns", "--no-seccomp"), {"userns": FILTER, "trap": FILTER}
    ),
    "nothing but memory": Node(
        ("--userns-limit", "--no-mount", "--no-ptrace", "--no-seccomp"),
        {"userns": "sysctl", "trap": FILTER, "ptrace": FILTER},
    ),
    "Linux 3.10": Node(("--max-syscall", "313"), dict.fromkeys(TRANSLATORS, FILTER), certain=False),
    "Linux 4.18": Node(("--max-syscall", "334"), {}),
    "Linux 5.4": Node(("--max-syscall", "435"), {}),
    "no attributes": Node(("--no-xattr",), {}),
    "noexec /tmp": Node(("--noexec", "/tmp"), {}),
    "read-only home": Node(("--read-only", HOME), {}),
    "no /dev/fuse": Node(("--no-fuse",), {}),
}
# Not one of the above: what forbids the last engine is a guess of doctor's, the rest is certain.
NOTHING = Node(
    ("--userns-limit", "--no-mount", "--no-ptrace", "--no-seccomp", "--no-own-code"),
    {"userns": "sysctl", **dict.fromkeys(TRANSLATORS, FILTER)},
)
