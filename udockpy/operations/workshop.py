"""What builds need, on this node: build/workshop.py says what."""

from __future__ import annotations

import os
from typing import NamedTuple

from udockpy import config as configs
from udockpy import home as homes
from udockpy.build import rootfs
from udockpy.container import caller, guest, spec
from udockpy.container.options import RunOptions
from udockpy.engines.execute import execute_and_wait
from udockpy.engines.select import AUTO
from udockpy.oci import reference as references
from udockpy.operations import bootstrap, on_host, says, trees, wanted
from udockpy.operations.prepare import cache_file, launchable
from udockpy.store import images, targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from udockpy.build.workshop import Guest
    from udockpy.home import Home
    from udockpy.oci.image import ImageConfig
    from udockpy.store.targets import Target
    from udockpy.store.tree import Tree


class ThisNode(NamedTuple):
    """A Workshop."""

    home: Home
    environ: Mapping[str, str]
    now: int
    engine: str | None = None

    def fill(self, tree: Tree, word: str) -> ImageConfig | None:
        if not word.startswith("/"):
            reference = references.parse(word)
            if isinstance(reference, references.Local):
                return self._fill_from_file(tree, reference)
        return self._fill(tree, wanted.target(self.home, word, self.environ))

    def _fill_from_file(self, tree: Tree, reference: references.Local) -> ImageConfig | None:
        """An image in a file has no name to be kept by in the store."""
        from udockpy.operations.pull import PullOptions, bring

        name = f"localhost/build/{os.urandom(6).hex()}"
        image = bring(reference, PullOptions(quiet=True, name=name), self.environ)
        try:
            return self._fill(tree, targets.of_image(image))
        finally:
            images.remove(self.home, image.name)

    def _fill(self, tree: Tree, target: Target) -> ImageConfig | None:
        from udockpy.oci import image as documents

        trees.copy_into(target.tree, tree)
        content = says.document(self.home, target)
        return None if content is None else documents.config(content, target.name)

    def run(self, tree: Tree, guest_: Guest) -> int:
        config = configs.load(
            homes.config_file(self.environ), self.environ, {"engine": self.engine}
        )
        place = spec.Place(
            rootfs=tree.rootfs,
            fakedb=tree.fakedb,
            cache=cache_file(self.home, tree.rootfs),
            accounts=guest.accounts(tree.rootfs),
            says=spec.Says(scripts=guest_.scripts),
        )
        options = RunOptions(
            target=tree.rootfs,
            command=guest_.command,
            bind=guest_.binds,
            env=guest_.environment,
            workdir=guest_.workdir,
            entrypoint="",
            user=guest_.user or None,
            root=True,
        )
        person = caller.gather(self.environ)
        plan = spec.plan(config, person, place, options)
        target = targets.Target(targets.SANDBOX, tree.rootfs, tree, os.path.dirname(tree.fakedb))
        with rootfs.mount_points(tree, plan.binds, self.now):
            return execute_and_wait(launchable(self.home, config, target, plan).launch)

    def run_on_host(
        self,
        tree: Tree,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        kernel: bool = False,
    ) -> int:
        # The engine that was asked for is that of guests; not every one can do this.
        how = on_host.How(environment, AUTO, chdir=os.getcwd(), kernel=kernel)
        return on_host.run(self.home, tree, command, how, self.environ)

    def apt_mirror(self, suite: str) -> str:
        return bootstrap.apt_mirror(suite, self.environ)
