"""build: an image in a single file, or a sandbox, from whatever can be run."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from udockpy import home as homes
from udockpy.build import rootfs
from udockpy.build.definition import metadata
from udockpy.container import singularity
from udockpy.errors import BusyError, UsageError
from udockpy.oci import image as documents
from udockpy.oci import platform as platforms
from udockpy.operations import definitions, dockerfiles, making, outputs, says, trees, wanted
from udockpy.operations.definitions import Definition
from udockpy.sif import image as sif
from udockpy.store import sandboxes
from udockpy.store.tree import Tree
from udockpy.util import atomic, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

    from udockpy.home import Home
    from udockpy.layer.member import Member
    from udockpy.store.targets import Target

SQUASHFS = (".sqsh", ".sqfs", ".squashfs")
HINT = "remove it, choose another name, or use --force"


class Build(NamedTuple):
    """What to make of what."""

    target: str
    source: str
    sandbox: bool = False
    force: bool = False
    definition: Definition = Definition()  # for a definition file, and a Dockerfile


class Made(NamedTuple):
    """A tree to make an image file of, and what the file tells of it."""

    tree: Tree
    objects: tuple[sif.Object, ...] = ()
    further: tuple[Member, ...] = ()  # files that are not in the tree

    def copy_into(self, tree: Tree) -> None:
        trees.copy_into(self.tree, tree)
        rootfs.put(tree, self.further)


def build(options: Build, environ: Mapping[str, str]) -> None:
    """Makes the sandbox, SIF or squashfs file `target`. It appears when it is complete."""
    home = homes.find(environ)
    target = os.path.abspath(options.target)
    if os.path.lexists(target) and not options.force:
        raise BusyError("cannot build", options.target, "it exists", hint=HINT)
    if os.path.isdir(target) and not options.sandbox:
        hint = "use --sandbox, or another name"
        raise BusyError("cannot build", options.target, "a directory is there", hint=hint)
    if definitions.is_definition(options.source):
        _of_definition(home, options, target, environ)
        return
    if dockerfiles.is_dockerfile(options.source):
        with dockerfiles.unnamed(_of_dockerfile(options), environ) as name:
            build(options._replace(source=name), environ)
        return
    made = _of_target(home, wanted.target(home, options.source, environ), environ)
    if not options.sandbox:
        _file(made, target, environ)
        return
    if os.path.isdir(target) and os.path.samefile(target, made.tree.rootfs):
        raise UsageError("cannot build", target, "it would be made of itself")
    _sandbox(home, made.copy_into, target)


def _of_target(home: Home, source: Target, environ: Mapping[str, str]) -> Made:
    """What can be run already. Of an OCI image it is written down how it is run, in the way of
    Singularity's images: a tree alone does not say.
    """
    config = says.document(home, source)
    if config is None or rootfs.is_directory(source.tree, singularity.ENVIRONMENT):
        return Made(source.tree)
    told = documents.config(config, source.name)
    return Made(
        source.tree,
        (sif.Object(sif.JSON, "oci-config.json", config),),
        tuple(metadata.base(source.tree, told, making.now(environ))),
    )


def _of_dockerfile(options: Build) -> dockerfiles.Build:
    """The context of a Dockerfile that is named alone is where it is."""
    about = options.definition
    return dockerfiles.Build(
        os.path.dirname(os.path.abspath(options.source)),
        (),
        options.source,
        about.arguments,
        engine=about.engine,
    )


def _of_definition(home: Home, options: Build, target: str, environ: Mapping[str, str]) -> None:
    with definitions.opened(home, options.source, options.definition, environ) as definition:
        if options.sandbox:
            _sandbox(home, definition.build, target)
            return
        tree = definition.new_tree()
        definition.build(tree)
        _file(Made(tree, definition.objects(tree)), target, environ)


def _sandbox(home: Home, fill: Callable[[Tree], None], target: str) -> None:
    if os.path.lexists(target):
        _check_replaceable(target)
    with atomic.new_directory(target) as scratch:
        os.chmod(scratch, 0o755)
        state = sandboxes.remember(home, scratch)
        try:
            fill(Tree(scratch, os.path.join(state, "fakedb")))
        except BaseException:
            tree.remove(state)
            raise
        if os.path.lexists(target):
            tree.discard(target)
    sandboxes.remember(home, target)


def _check_replaceable(target: str) -> None:
    """--force replaces a sandbox, and nothing else that somebody may miss."""
    if os.path.islink(target) or not os.path.isdir(target):
        raise UsageError("cannot build", target, "a file, where a sandbox is to be")
    names = set(os.listdir(target))
    if names and not ("etc" in names and names & {"bin", "usr"}):
        reason = "the directory there is no sandbox: it has no etc, bin or usr"
        raise BusyError("cannot replace", target, reason, hint="choose another name")


def _file(made: Made, target: str, environ: Mapping[str, str]) -> None:
    squashfs = atomic.scratch_name(target)
    try:
        _squashfs(made, squashfs)
        if target.endswith(SQUASHFS):
            os.rename(squashfs, target)
            return
        scratch = atomic.scratch_name(target)

        def fill(file: IO[bytes]) -> None:
            architecture = platforms.of_machine(os.uname().machine).architecture
            when = int(environ.get("SOURCE_DATE_EPOCH") or time.time())
            primary = sif.primary_partition(squashfs, architecture, "rootfs.squashfs")
            sif.write(file, [*made.objects, primary], architecture, when)

        outputs.write("cannot build", scratch, fill)
        os.chmod(scratch, 0o777 & ~_umask())
        os.rename(scratch, target)
    finally:
        if os.path.exists(squashfs):
            os.unlink(squashfs)


def _squashfs(made: Made, path: str) -> None:
    from itertools import chain

    from udockpy.layer.squashfs_writer import write_squashfs
    from udockpy.layer.tree_reader import open_tree

    with open_tree(made.tree.rootfs, made.tree.fakedb) as reader:
        write_squashfs(chain(reader.members(), made.further), path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
