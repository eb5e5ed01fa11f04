"""Who runs udockpy, and where: read from the system once."""

from __future__ import annotations

import os
from typing import NamedTuple

from udockpy.home import user_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Caller(NamedTuple):
    """The user, his directories and his environment."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    cwd: str
    environ: Mapping[str, str]


def gather(environ: Mapping[str, str]) -> Caller:
    """The user of this process."""
    try:
        cwd = os.getcwd()
    except FileNotFoundError:
        cwd = "/"  # deleted under our feet
    home = os.path.normpath(user_home(environ))
    return Caller(os.getuid(), os.getgid(), tuple(os.getgroups()), home, cwd, environ)
