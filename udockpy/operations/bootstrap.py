"""bootstrap: make a Debian sandbox with the host's debootstrap, run as pretended root on the host's
own files.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from udockpy import home as homes
from udockpy.errors import BusyError, Error
from udockpy.operations import on_host
from udockpy.store import sandboxes
from udockpy.store.tree import Tree
from udockpy.util import atomic, process, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.home import Home


class Bootstrap(NamedTuple):
    """What to make."""

    suite: str
    sandbox: str
    mirror: str | None
    include: tuple[str, ...]
    variant: str
    engine: str | None
    verbose: bool


def bootstrap(options: Bootstrap, environ: Mapping[str, str]) -> None:
    """Makes the sandbox; it appears when it is complete."""
    home = homes.find(environ)
    sandbox = os.path.abspath(options.sandbox)
    if os.path.exists(sandbox):
        raise BusyError(
            "cannot bootstrap",
            sandbox,
            "it exists",
            hint="give a directory that is still to be made",
        )
    mirror = options.mirror or apt_mirror(options.suite, environ)
    with atomic.new_directory(sandbox) as scratch:
        os.chmod(scratch, 0o755)
        state = sandboxes.remember(home, scratch)
        try:
            _fill(home, scratch, state, [*_arguments(options, scratch), mirror], options, environ)
        except BaseException:
            tree.remove(state)
            raise
    sandboxes.remember(home, sandbox)


def _fill(
    home: Home,
    scratch: str,
    state: str,
    arguments: list[str],
    options: Bootstrap,
    environ: Mapping[str, str],
) -> None:
    program = process.find_program("debootstrap", package="debootstrap")
    status = on_host.run(
        home,
        Tree(scratch, os.path.join(state, "fakedb")),
        (program, *arguments),
        # Where debootstrap finds signs of docker it replaces the new system's /proc, which is
        # bound. What it does in an lxc container is what it would do on a machine of its own.
        on_host.How({"container": "lxc"}, options.engine, options.verbose),
        environ,
    )
    if status:
        for line in _last_lines(os.path.join(scratch, "debootstrap/debootstrap.log")):
            process.say(line)
        raise Error("cannot bootstrap", options.sandbox, f"debootstrap failed with status {status}")


def _last_lines(log: str) -> list[str]:
    """The end of debootstrap's log, which goes with the unfinished sandbox."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            return [line.rstrip() for line in file.readlines()[-15:]]
    except OSError:
        return []


def _arguments(options: Bootstrap, scratch: str) -> list[str]:
    include = [f"--include={','.join(options.include)}"] if options.include else []
    return [f"--variant={options.variant}", *include, options.suite, scratch]


def apt_mirror(suite: str, environ: Mapping[str, str]) -> str:
    """The mirror that the host's apt uses: that of the suite, else that of its first release."""
    apt = process.find_program("apt-get", package="apt")
    words = [
        apt,
        "indextargets",
        "--format",
        "$(REPO_URI) $(CODENAME) $(RELEASE)",
        "Created-By: Packages",
    ]
    _, output = process.capture(words, environ=environ)
    rows = [line.split() for line in output.decode(errors="replace").splitlines()]
    rows = [row for row in rows if len(row) == 3 and "-" not in row[1]]
    for row in rows:
        if suite in row[1:]:
            return row[0]
    if rows:
        return rows[0][0]
    raise Error(
        "cannot find a mirror",
        suite,
        "apt's configuration names none",
        hint="give one: --mirror URL",
    )
