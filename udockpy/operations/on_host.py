"""Runs a program of the host as pretended root, on the host's own files, to make a root filesystem.

Its root is the host's, but only what the user may write can change; what it chowns and mknods
inside the new root filesystem is remembered for that.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from udockpy import config as configs
from udockpy import home as homes
from udockpy.container import environment
from udockpy.container.plan import Bind, Identity, Plan
from udockpy.engines.execute import execute_and_wait
from udockpy.operations.prepare import cache_file, launchable
from udockpy.store import targets
from udockpy.util import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from udockpy.home import Home
    from udockpy.store.tree import Tree


class How(NamedTuple):
    """How to run it."""

    variables: Mapping[str, str]  # beside those of a pretended root
    engine: str | None = None
    verbose: bool = False
    chdir: str = "/"
    kernel: bool = True  # show /proc and /sys in the new root filesystem


def run(
    home: Home, tree: Tree, command: Sequence[str], how: How, environ: Mapping[str, str]
) -> int:
    """Runs `command`, whose program is a path of the host's, and returns its exit status."""
    config = configs.load(homes.config_file(environ), environ, {"engine": how.engine})
    base = environment.of_pretended(environ, path=configs.GUEST_PATH, home="/root", name="root")
    plan = Plan(
        rootfs="/",
        command=tuple(command),
        identity=Identity(0, 0, (0,), pretend=True),
        environment=tuple({**base, **how.variables}.items()),
        binds=tuple(_kernel_binds(tree.rootfs)) if how.kernel else (),
        chdir=how.chdir,
        fakedb=tree.fakedb,
        cache=cache_file(home, "/"),
    )
    target = targets.Target(targets.SANDBOX, tree.rootfs, tree, os.path.dirname(tree.fakedb))
    prepared = launchable(home, config, target, plan)
    if how.verbose:
        process.say(prepared.choice.describe())
    return execute_and_wait(prepared.launch)


def _kernel_binds(rootfs: str) -> list[Bind]:
    """Programs that make systems mount /proc and /sys in them, which they cannot here; they leave
    them alone when filled.
    """
    binds = []
    for name in ("proc", "sys"):
        folder = os.path.join(rootfs, name)
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o755)
        binds.append(Bind(f"/{name}", folder))
    return binds
