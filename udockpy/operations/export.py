"""export: give a root filesystem back as an archive, with the identity its files have for the
guest.
"""

from __future__ import annotations

import os

from udockpy import home as homes
from udockpy.operations import outputs, wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

    from udockpy.store.tree import Tree


def export(source: str, output: str, environ: Mapping[str, str]) -> None:
    """Writes a tar archive ("-": standard output). A file appears when it is whole."""
    target = wanted.target(homes.find(environ), source, environ)
    outputs.write("cannot export", output, lambda file: _write(target.tree, file))


def _write(tree: Tree, output: IO[bytes]) -> None:
    from contextlib import ExitStack

    from udockpy.layer.fakedb import Fakedb
    from udockpy.layer.tar_writer import write_tar
    from udockpy.layer.tree_reader import TreeReader

    with ExitStack() as stack:
        known = os.path.exists(tree.fakedb)
        fakedb = stack.enter_context(Fakedb(tree.fakedb, read_only=True)) if known else None
        write_tar(TreeReader(tree.rootfs, fakedb).members(), output)
