"""export: give a root filesystem back as an archive, with the identity its files have for the
guest.
"""

from __future__ import annotations

import errno
import os
import sys

from udockpy import home as homes
from udockpy.errors import BusyError, StateError, UsageError, reason_of
from udockpy.operations import wanted
from udockpy.util import atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

    from udockpy.store.tree import Tree


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def export(source: str, output: str, environ: Mapping[str, str]) -> None:
    """Writes a tar archive ("-": standard output). A file appears when it is whole."""
    target = wanted.target(homes.find(environ), source, environ)
    if output == "-":
        if sys.stdout.isatty():
            raise UsageError(
                "cannot export", "-", "standard output is a terminal", hint="use -o FILE or a pipe"
            )
        _write(target.tree, sys.stdout.buffer)
        return
    if os.path.exists(output):
        raise BusyError(
            "cannot export", output, "the file exists", hint="remove it, or choose another name"
        )
    scratch = atomic.scratch_name(os.path.abspath(output))
    try:
        with open(scratch, "xb") as file:
            _write(target.tree, file)
        os.rename(scratch, output)
    except BaseException as e:
        if os.path.exists(scratch):
            os.unlink(scratch)
        if isinstance(e, OSError) and e.errno in FULL:
            raise StateError(
                "cannot write the archive", output, reason_of(e), hint="choose another place"
            ) from e
        raise


def _write(tree: Tree, output: IO[bytes]) -> None:
    from contextlib import ExitStack

    from udockpy.layer.fakedb import Fakedb
    from udockpy.layer.tar_writer import write_tar
    from udockpy.layer.tree_reader import TreeReader

    with ExitStack() as stack:
        known = os.path.exists(tree.fakedb)
        fakedb = stack.enter_context(Fakedb(tree.fakedb, read_only=True)) if known else None
        write_tar(TreeReader(tree.rootfs, fakedb).members(), output)
