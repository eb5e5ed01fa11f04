"""Building from definition files: where their stages are made, and what is kept of them."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from udockpy.build.definition import grammar, metadata, stage
from udockpy.build.definition.stage import Choices
from udockpy.container import environment
from udockpy.errors import TargetError, UsageError, reason_of
from udockpy.operations import making
from udockpy.operations.workshop import ThisNode
from udockpy.sif import image as sif
from udockpy.store import workplace
from udockpy.store.tree import Tree, tree_in
from udockpy.util.process import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from udockpy.home import Home

HEAD = 1 << 16
MAX_TEXT = 1 << 24


class Definition(NamedTuple):
    """What the user says of a build from a definition."""

    choices: Choices = Choices()
    arguments: tuple[str, ...] = ()  # NAME=VALUE
    argument_files: tuple[str, ...] = ()
    unused_ok: bool = False
    engine: str | None = None


class Opened:
    """A definition that was read, and where it is built."""

    def __init__(
        self, parsed: grammar.Definition, choices: Choices, shop: ThisNode, folder: str
    ) -> None:
        self.parsed = parsed
        self.choices = choices
        self.shop = shop
        self.folder = folder
        self.count = 0

    def new_tree(self) -> Tree:
        """An empty tree, which is gone with the build."""
        self.count += 1
        folder = os.path.join(self.folder, str(self.count))
        tree = tree_in(folder)
        os.makedirs(tree.rootfs)
        os.chmod(tree.rootfs, 0o755)
        return tree

    def build(self, tree: Tree) -> None:
        """Builds all stages, the last into the empty `tree`."""
        others = [self.new_tree() for _ in self.parsed.stages[:-1]]
        stage.build(self.parsed, [*others, tree], self.choices, self.shop)

    def objects(self, tree: Tree) -> tuple[sif.Object, ...]:
        """What the SIF file of a tree tells about it."""
        return (
            sif.Object(sif.DEFINITION, "deffile", encoded(self.parsed.text)),
            sif.Object(sif.JSON, "inspect-metadata.json", metadata.document(tree)),
        )


@contextlib.contextmanager
def opened(
    home: Home, path: str, options: Definition, environ: Mapping[str, str]
) -> Iterator[Opened]:
    """Yields the definition file `path`, read and checked; what its build leaves goes."""
    given = _arguments(options)
    parsed = grammar.parse(_read(path), path, given, unused_ok=options.unused_ok)
    if options.unused_ok:
        for name in parsed.unused:
            say(f"the build argument {name} is not used")
    with workplace.opened(home) as folder:
        shop = ThisNode(home, environ, making.now(environ), options.engine)
        yield Opened(parsed, options.choices, shop, folder)


def is_definition(path: str) -> bool:
    """Whether a source is a file that begins as definitions do."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        head = file.read(HEAD)
    return b"\0" not in head and grammar.has_stage(head.decode("utf-8", "replace"))


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read(MAX_TEXT)
    except OSError as e:
        raise TargetError("cannot read the definition", path, reason_of(e)) from e


def _arguments(options: Definition) -> dict[str, str]:
    """The values for {{ NAME }}: those of files first."""
    words = [word for path in options.argument_files for word in environment.read_file(path)]
    found = {}
    for word in [*words, *options.arguments]:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError("bad build argument", word, "not NAME=VALUE")
        found[name.strip()] = grammar.unquoted(value.strip())
    return found
