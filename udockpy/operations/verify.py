"""verify: whether all that the store holds is what it was, and mending from where it came."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from udockpy import home as homes
from udockpy.errors import Error, ImageError
from udockpy.layer.fakedb import Fakedb
from udockpy.oci import digest as digests
from udockpy.oci import reference as references
from udockpy.oci.image import Descriptor
from udockpy.operations import making
from udockpy.operations.pull import PullOptions, open_source, unpack_image
from udockpy.store import blobs, images
from udockpy.util import atomic, lock, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from udockpy.home import Home
    from udockpy.store.images import Image


class Verify(NamedTuple):
    """How thorough to be, and how to reach registries."""

    mend: bool = True
    trees: bool = False  # unpack again and compare
    registry: PullOptions = PullOptions(quiet=True)


class Verdict(NamedTuple):
    """What became of one image."""

    name: str
    problem: str = ""  # empty: it is good
    mended: bool = False


def verify(options: Verify, environ: Mapping[str, str]) -> list[Verdict]:
    """Reads everything, and brings again what is damaged where it is known where from."""
    home = homes.find(environ)
    with lock.shared(images.lock_file(home, "store")):
        check = _Verification(home, options, environ)
        return [check.image(entry) for entry in images.in_use(home)]


class _Verification:
    """One pass over the store."""

    def __init__(self, home: Home, options: Verify, environ: Mapping[str, str]) -> None:
        self.home = home
        self.options = options
        self.environ = environ
        self.layout = images.layout(home)
        self.damaged = self._damaged()

    def image(self, entry: Descriptor) -> Verdict:
        """Looks at the blobs and the tree of an image."""
        image = images.of_entry(self.home, entry)
        problems = []
        try:
            # What is wrong with its parts can only be told by a manifest that is right.
            for parts in ([entry], self._parts(entry)):
                bad = [part for part in parts if self._is_bad(part.digest)]
                problems += [self._problem(part.digest) for part in bad]
                if bad:
                    self._mend(entry, bad)
            if self._is_bad_tree(image._replace(folder=images.tree_of(self.home, entry))):
                problems.append("its tree")
        except Error as e:
            return Verdict(image.name, f"{', '.join(problems)}: {e}" if problems else str(e))
        return Verdict(image.name, ", ".join(problems), mended=bool(problems))

    def _damaged(self) -> set[str]:
        known = sorted(self.layout.digests())
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            whole = pool.map(self._is_whole, known)
            return {digest for digest, good in zip(known, whole) if not good}

    def _is_whole(self, digest: str) -> bool:
        state = digests.hasher(digest)
        with open(self.layout.place(digest), "rb") as file:
            while chunk := file.read(blobs.CHUNK):
                state.update(chunk)
        return state.hexdigest() == digests.split(digest)[1]

    def _is_bad(self, digest: str) -> bool:
        return digest in self.damaged or not self.layout.has(digest)

    def _problem(self, digest: str) -> str:
        return f"blob {digest} is {'damaged' if digest in self.damaged else 'missing'}"

    def _parts(self, entry: Descriptor) -> Iterable[Descriptor]:
        """What a manifest names: asked for when that is known to be right."""
        manifest = self.layout.manifest(entry)
        yield manifest.config
        yield from manifest.layers

    def _mend(self, entry: Descriptor, bad: Iterable[Descriptor]) -> None:
        known = images.source(entry)
        if not known or not self.options.mend:
            raise ImageError("not mended", "", "" if known else "it came from no registry")
        reference = references.parse(known)
        with open_source(reference, self.options.registry, self.environ) as source:
            for part in bad:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.layout.place(part.digest))
                if part.digest == entry.digest:
                    self.layout.put(source.manifest(part.digest)[0], part.digest)
                    continue
                with blobs.incoming(self.home, self.layout, part) as sink:
                    if sink is not None:
                        source.fetch(part, sink)
                        sink.finish(self.layout.place(part.digest), source.name)
        self.damaged -= {part.digest for part in bad}

    def _is_bad_tree(self, image: Image) -> bool:
        """Looks at a tree, and puts a fresh one in the place of a bad one."""
        if os.path.dirname(image.folder) != self.home.trees or not os.path.isdir(image.folder):
            return False  # it is the site's, or will be made when it is used
        with Fakedb(image.tree.fakedb, read_only=True) as fakedb:
            bad = bool(fakedb.verify())
        if not bad and not self.options.trees:
            return False
        fresh = image._replace(folder=atomic.scratch_name(image.folder))
        try:
            unpack_image(self.home, fresh, self.environ)
            bad = bad or bool(making.changes(image.tree, fresh.tree))
            if bad:
                tree.discard(image.folder)
                os.rename(fresh.folder, image.folder)
            return bad
        finally:
            tree.remove(fresh.folder)
