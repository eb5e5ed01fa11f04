"""What the build of a Dockerfile needs of the rest of the program, and the values it is told."""

from __future__ import annotations

from typing import NamedTuple

from udockpy.oci.image import Descriptor
from udockpy.oci.making import Document
from udockpy.store.tree import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Protocol

    from udockpy.build.workshop import Guest
    from udockpy.layer.member import Member
    from udockpy.oci.platform import Platform


class Layer(NamedTuple):
    """A layer that is in the store."""

    blob: Descriptor
    diff_id: str


class Base(NamedTuple):
    """What a stage begins from; without a tree it is nothing."""

    document: Document
    blobs: tuple[Descriptor, ...] = ()
    tree: Tree | None = None


class Known(NamedTuple):
    """What an earlier build made of an instruction; a layer, or nothing."""

    layer: Layer | None


class Options(NamedTuple):
    """What the user asked of a build."""

    context: str
    arguments: tuple[tuple[str, str], ...] = ()
    target: str = ""
    platform: str = ""
    cache: bool = True
    secrets: tuple[tuple[str, str], ...] = ()  # id -> file


if TYPE_CHECKING:

    class Store(Protocol):
        """Where images are, and where builds are made."""

        @property
        def now(self) -> int:
            """What is made is of that time, in seconds since 1970."""
            ...

        @property
        def newest(self) -> int | None:
            """No file of a layer is newer than that."""
            ...

        @property
        def machine(self) -> Platform: ...

        def base(self, name: str, platform: str) -> Base:
            """The image of that name, brought if it is not there."""
            ...

        def new_tree(self) -> Tree:
            """An empty tree, which is gone with the build."""
            ...

        def copy(self, source: Tree, tree: Tree) -> None: ...

        def apply(self, tree: Tree, layers: Sequence[Layer]) -> None:
            """Puts layers on what is in a tree."""
            ...

        def pack(self, members: Iterable[Member]) -> Layer:
            """Makes a layer."""
            ...

        def recall(self, key: str) -> Known | None:
            """What is known of an instruction, if its layer is still there."""
            ...

        def remember(self, key: str, known: Known) -> None: ...

        def digest_of(self, key: str, make: Callable[[], str]) -> str:
            """What `make` gives, remembered by a key of all that it depends on."""
            ...

        def cache_folder(self, name: str) -> str:
            """A directory that later builds find again."""
            ...

        def new_folder(self) -> str:
            """An empty directory, which is gone with the build."""
            ...

        def run(self, tree: Tree, guest: Guest) -> int:
            """Runs a guest as pretended root; returns its exit status."""
            ...

        def say(self, text: str) -> None: ...
