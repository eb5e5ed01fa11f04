"""A stage of a Dockerfile under way: its configuration, its tree, and a layer for each instruction
that changed files, made or known from an earlier build.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from typing import Callable, NamedTuple

from udockpy.build.dockerfile import settings, words
from udockpy.build.dockerfile.store import Base, Known
from udockpy.layer import diff
from udockpy.layer.tree_reader import open_tree
from udockpy.oci import making

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.build.dockerfile.grammar import Instruction
    from udockpy.build.dockerfile.ignore import Ignore
    from udockpy.build.dockerfile.store import Layer, Options, Store
    from udockpy.layer.member import Member
    from udockpy.store.tree import Tree


class Surroundings(NamedTuple):
    """What all stages of a build have in common."""

    name: str  # the Dockerfile's
    escape: str
    ignore: Ignore
    options: Options
    store: Store
    platform_arguments: Mapping[str, str]
    global_arguments: Mapping[str, str]
    used: set[str]  # the arguments that were asked for
    other: Callable[[str], Stage | Base]  # the stage or the image of a --from


class Stage:
    """A stage under way."""

    def __init__(
        self, base: Base, around: Surroundings, tree_below: Callable[[], Tree | None]
    ) -> None:
        self.base = base
        self.bottom = base  # the image that it all began with
        self.tree_below = tree_below
        self.around = around
        self.store = around.store
        self.document = base.document
        self.settings: settings.Settings = dict(base.document.get("config") or {})
        self.arguments: dict[str, str] = {}
        self.layers: list[Layer] = []
        self.said_cmd = False  # such a CMD stays when an ENTRYPOINT comes
        # Of everything that was done so far, and of how new it may be
        self.key = digest([base.document, self.store.newest])
        self.own_tree: Tree | None = None
        self.before: list[Member] = []  # what the tree had after the last instruction

    @classmethod
    def of_base(cls, base: Base, around: Surroundings) -> Stage:
        """A stage that begins from an image."""
        return cls(base, around, lambda: base.tree)

    @classmethod
    def on_top(cls, below: Stage) -> Stage:
        """A stage that begins where another one ended."""
        blobs = (*below.base.blobs, *(layer.blob for layer in below.layers))
        stage = cls(Base(below.document, blobs), below.around, below.tree)
        stage.key, stage.bottom = below.key, below.bottom
        return stage

    def tree(self) -> Tree:
        """The tree, with everything in it so far."""
        if self.own_tree is None:
            self.own_tree = self.store.new_tree()
            below = self.tree_below()
            if below is not None:
                self.store.copy(below, self.own_tree)
            self.store.apply(self.own_tree, self.layers)
            self.before = _names(self.own_tree)
        return self.own_tree

    def path(self, path: str) -> str:
        """A path of the image, relative to the working directory."""
        return posixpath.join(settings.workdir(self.settings, ""), path)

    def settle(self, instruction: Instruction, identity: str, layer: Layer | None) -> None:
        """Takes an instruction into the history, and its layer if it has one."""
        self.key = digest([self.key, identity])
        self.document = {**self.document, "config": dict(self.settings)}
        step = making.Step(self.store.now, instruction.describe())
        diff_id = layer.diff_id if layer else ""
        self.document = making.stacked(self.document, step, diff_id)
        if layer:
            self.layers.append(layer)

    def configured(self, instruction: Instruction) -> None:
        """Settles an instruction that changed the settings."""
        self.settle(instruction, json.dumps([instruction.keyword, self.settings]), None)

    def changes(
        self, instruction: Instruction, identity: str, change: Callable[[Tree], None]
    ) -> None:
        """Has `change` change the tree, unless it is known what comes of it."""
        key = digest([self.key, identity])
        known = self.store.recall(key) if self.around.options.cache else None
        if known is None:
            self.store.say(f"{self.around.name}:{instruction.line}: {instruction.describe()}")
            change(self.tree())
            known = Known(self._packed())
            self.store.remember(key, known)
        else:
            self.store.say(
                f"{self.around.name}:{instruction.line}: {instruction.keyword}: known already"
            )
            if self.own_tree is not None and known.layer:
                self.store.apply(self.own_tree, [known.layer])
                self.before = _names(self.own_tree)
        self.settle(instruction, identity, known.layer)

    def _packed(self) -> Layer | None:
        tree = self.tree()
        now = _names(tree)
        changes = diff.compare(self.before, now, same_tree=True)
        self.before = now
        if not changes:
            return None
        with open_tree(tree.rootfs, tree.fakedb) as reader:
            return self.store.pack(diff.layer(reader.names(), changes, newest=self.store.newest))

    def known(self) -> dict[str, str]:
        """The variables that instructions see."""
        return {**self.arguments, **settings.environment(self.settings)}

    def expand(self, text: str) -> str:
        """A word with its variables put in."""
        return words.expand(text, self.known(), self.around.escape)

    def words(self, instruction: Instruction) -> list[str]:
        """The words of a text, or of a JSON list, with variables put in."""
        exec_form = instruction.exec_form()
        if exec_form is not None:
            return [self.expand(word) for word in exec_form]
        return words.expand_words(instruction.text, self.known(), self.around.escape)


def tree_of(other: Stage | Base) -> Tree | None:
    """The tree that a --from means."""
    return other.tree() if isinstance(other, Stage) else other.tree


def key_of(other: Stage | Base) -> str:
    """What tells whether it is the same one as in an earlier build."""
    return other.key if isinstance(other, Stage) else digest(other.document)


def digest(about: object) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _names(tree: Tree) -> list[Member]:
    with open_tree(tree.rootfs, tree.fakedb) as reader:
        return [member._replace(content=None) for member in reader.names()]
