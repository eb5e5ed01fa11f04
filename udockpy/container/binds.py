"""Binds: what the user names, and what every guest gets. Parents come before what lies in them."""

from __future__ import annotations

import os

from udockpy.container.plan import Bind
from udockpy.errors import BindError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.config import Config
    from udockpy.container.caller import Caller

HINT = "write SRC[:DST[:ro|rw]] with absolute DST"

# Directories of the system: binding one because it is the current directory would hide the guest's
# own.
SYSTEM = ("/", "/bin", "/etc", "/lib", "/lib64", "/mnt", "/opt", "/sbin", "/usr", "/var")
KERNEL = ("/dev", "/proc", "/sys")


def parse(text: str, *, cwd: str) -> list[Bind]:
    """Reads SRC[:DST[:ro|rw]], several apart by commas. Relative sources are the caller's."""
    return [_parse_one(item, cwd) for item in text.split(",")]


def _parse_one(text: str, cwd: str) -> Bind:
    source, *rest = text.split(":")
    target = rest[0] if rest else ""
    mode = rest[1] if len(rest) > 1 else "rw"
    if not source or len(rest) > 2 or (rest and not target):
        raise BindError("malformed bind", text or "(empty)", "not SRC[:DST[:ro|rw]]", hint=HINT)
    if mode not in ("ro", "rw"):
        raise BindError(
            "malformed bind", text, f"{mode or 'nothing'} is neither ro nor rw", hint=HINT
        )
    source = os.path.join(cwd, os.path.expanduser(source))
    if target and not target.startswith("/"):
        raise BindError("malformed bind", text, f"the target {target} is not absolute", hint=HINT)
    target = os.path.normpath(target or source)
    if target in ("/", "//"):
        raise BindError("malformed bind", text, "the target is the guest's root", hint=HINT)
    return Bind(os.path.normpath(source), target.replace("//", "/"), mode == "ro")


def standard(config: Config, caller: Caller, *, pretend_root: bool) -> list[Bind]:
    """What a guest gets unasked.

    The system's files for all; home, the current directory and /tmp for the user himself. A
    pretended root gets none of those: the scripts of a package must not touch the user's own files.
    """
    binds = [
        bind._replace(optional=not os.path.isdir(bind.source))
        for text in config.system_binds
        for bind in parse(text, cwd="/")
        if os.path.exists(bind.source)
    ]
    if not pretend_root:
        if config.bind_tmp:
            binds.append(Bind("/tmp", "/tmp"))
        if config.bind_home and _may_bind(caller.home):
            binds.append(Bind(caller.home, caller.home))
        if config.bind_cwd and _may_bind(caller.cwd) and not _covered(caller.cwd, binds):
            binds.append(Bind(caller.cwd, caller.cwd))
    binds += [bind for text in config.binds for bind in parse(text, cwd=caller.home)]
    return sorted(binds, key=lambda bind: bind.target.count("/"))


def _may_bind(path: str) -> bool:
    return (
        path not in SYSTEM + KERNEL
        and not path.startswith(tuple(f"{k}/" for k in KERNEL))
        and os.path.isdir(path)
    )


def _covered(path: str, binds: list[Bind]) -> bool:
    return any(f"{path}/".startswith(f"{bind.target}/") for bind in binds)
