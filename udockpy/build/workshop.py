"""What a build needs of the rest of the program."""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    from udockpy.oci.image import ImageConfig
    from udockpy.store.tree import Tree


class Guest(NamedTuple):
    """Something to run in a root filesystem that is being built."""

    command: tuple[str, ...]
    environment: tuple[str, ...] = ()  # NAME=VALUE
    binds: tuple[str, ...] = ()  # as on the command line
    workdir: str = "/"
    user: str = ""  # "" = the pretended root
    scripts: bool = False  # Singularity's scripts in the tree are its environment


if TYPE_CHECKING:

    class Workshop(Protocol):
        """Where a build is made."""

        @property
        def now(self) -> int:
            """What is made is of that time, in seconds since 1970."""
            ...

        def fill(self, tree: Tree, word: str) -> ImageConfig | None:
            """Copies the image `word` into an empty root filesystem; returns what it says."""
            ...

        def run(self, tree: Tree, guest: Guest) -> int:
            """Runs a guest as pretended root; returns its exit status."""
            ...

        def run_on_host(
            self,
            tree: Tree,
            command: Sequence[str],
            environment: Mapping[str, str],
            *,
            kernel: bool = False,
        ) -> int:
            """Runs a program of the host, on the host's files, as a pretended root whose changes to
            owners, modes and devices are remembered for `tree`; with `kernel`, the tree has the
            host's /proc and /sys.
            """
            ...

        def apt_mirror(self, suite: str) -> str:
            """The mirror that the host's apt uses."""
            ...
