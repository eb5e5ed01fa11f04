"""fsck: verify what is remembered of a sandbox, a container or an image, and repair it."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from udockpy import home as homes
from udockpy.errors import StateError, TargetError
from udockpy.layer import sealing
from udockpy.layer.fakedb import Fakedb
from udockpy.operations import sandbox
from udockpy.store import claim, targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.store.targets import Target

HINT = "udockpy fsck --repair keeps what is sound"


class Report(NamedTuple):
    """What is in a fakedb, and what is wrong with it."""

    files: int = 0
    changes: int = 0  # that it has room for, in all
    changes_used: int = 0
    damaged: int = 0
    unusable: str = ""  # why it cannot be read at all
    repaired: bool = False

    def words(self) -> str:
        if self.unusable:
            return self.unusable
        room = f"{self.changes_used} of {self.changes} changes used"
        damage = f", {self.damaged} records damaged" if self.damaged else ""
        return f"{self.files} files remembered, {room}{damage}"

    def document(self) -> dict[str, Any]:
        return self._asdict()


def fsck(word: str, environ: Mapping[str, str], *, repair: bool) -> Report:
    """Verifies; damage is an error unless it was repaired."""
    target = targets.find(homes.find(environ), word)
    path = target.tree.fakedb
    if not os.path.exists(path):
        return Report()
    report = _examine(path)
    if repair:
        _refuse_image(target)
        with claim.alone(os.path.dirname(path), target.name):
            _repair(target, report)
        return _examine(path)._replace(repaired=True)
    if report.unusable or report.damaged:
        raise StateError("the fakedb is damaged", path, report.words(), hint=HINT)
    return report


def _examine(path: str) -> Report:
    try:
        fakedb = Fakedb(path, read_only=True)
    except StateError as e:
        return Report(unusable=e.reason)
    with fakedb:
        usage = fakedb.usage()
        return Report(
            files=sum(1 for _ in fakedb.records()),
            changes=usage.entries - 1,
            changes_used=usage.entries_used - 1,
            damaged=fakedb.verify(),
        )


def _repair(target: Target, report: Report) -> None:
    """Makes a new database of what is sound; or of the files' seals, when it cannot be read at all.
    Then the old one is kept beside it.
    """
    path = target.tree.fakedb
    if report.unusable:
        os.rename(path, f"{path}.damaged")
        sandbox.rebuild(target.tree, sealing.from_list(sandbox.list_of(path)))
        return
    sandbox.compact(path)


def _refuse_image(target: Target) -> None:
    if target.kind == targets.IMAGE:
        raise TargetError(
            "cannot repair",
            target.name,
            "an image never changes",
            hint="remove it and get it anew",
        )
