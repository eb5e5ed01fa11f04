"""export: give a root filesystem back as an archive, with the identity its files have for the
guest.
"""

from __future__ import annotations

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
    from udockpy.layer.tar_writer import write_tar
    from udockpy.layer.tree_reader import open_tree

    with open_tree(tree.rootfs, tree.fakedb) as reader:
        write_tar(reader.members(), output)
