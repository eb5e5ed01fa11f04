"""The Plan: everything about one run, decided, before an engine is chosen. A frozen value.

Values here are NamedTuples and paths are str, as in everything that `udockpy run` imports:
dataclasses and pathlib take longer to import than the rest of a start.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Bind(NamedTuple):
    """A host file or directory that the guest sees at `target`."""

    source: str
    target: str
    read_only: bool = False
    optional: bool = False  # nobody named it: a guest without it is better than one changed for it
    appears: bool = False  # the guest has nothing at `target`, whose directory is there

    def describe(self) -> str:
        return f"bind {self.source} at {self.target}{' read-only' if self.read_only else ''}"


class Identity(NamedTuple):
    """Who the guest's first process is. Without pretence that is the user himself."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    pretend: bool = False

    def describe(self) -> str:
        groups = ",".join(map(str, self.groups))
        verb = "pretend to be" if self.pretend else "be"
        return f"{verb} uid {self.uid} gid {self.gid} groups {groups or 'none'}"


class Plan(NamedTuple):
    """One run."""

    rootfs: str
    command: tuple[str, ...]
    identity: Identity
    environment: tuple[tuple[str, str], ...]
    binds: tuple[Bind, ...] = ()
    chdir: str = "/"
    read_only: bool = False
    shared: bool = False  # its files may be an image's: see layer/shared.py
    overlay: str = ""  # host folder of upper/ and work/, over rootfs; "" = rootfs itself
    fakedb: str = ""  # host file; "" = nothing is remembered
    cache: str = ""  # host file of the directory cache; "" = private
    namespaces: tuple[str, ...] = ()  # of pid, ipc, uts, net: those of the guest's own
    hostname: str = ""
    map_subuids: bool = False
    owners: str = ""  # whose unknown files are to a pretended root: all root's, all as is ("real")

    def describe(self) -> list[str]:
        """The plan in words, one decision a line."""
        lines = [f"root {self.rootfs}{' read-only' if self.read_only else ''}"]
        lines += [f"changes go to {self.overlay}/upper"] if self.overlay else []
        lines += ["files shared with the image until they are written to"] if self.shared else []
        lines += [bind.describe() for bind in self.binds]
        lines += [self.identity.describe()]
        lines += [f"own {name} namespace" for name in self.namespaces]
        lines += [f"hostname {self.hostname}"] if self.hostname else []
        lines += [f"in {self.chdir}", f"run {' '.join(self.command)}"]
        return lines

    def document(self) -> dict[str, Any]:
        """The plan for JSON."""
        return {
            **self._asdict(),
            "identity": self.identity._asdict(),
            "binds": [bind._asdict() for bind in self.binds],
            "environment": dict(self.environment),
        }
