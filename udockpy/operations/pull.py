"""pull: bring an image into the store, and unpack it."""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from udockpy import config as configs
from udockpy import home as homes
from udockpy.errors import ImageError, RegistryError, UsageError
from udockpy.oci import digest as digests
from udockpy.oci import image as documents
from udockpy.oci import media
from udockpy.oci import platform as platforms
from udockpy.oci import reference as references
from udockpy.oci.image import Descriptor, ImageConfig, Index, Manifest
from udockpy.operations import trees
from udockpy.operations.progress import Progress
from udockpy.store import blobs, images, local
from udockpy.util import lock
from udockpy.util.process import say
from udockpy.util.text import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Protocol

    from udockpy.home import Home
    from udockpy.oci.platform import Platform
    from udockpy.oci.reference import Local, Reference, Remote
    from udockpy.registry.client import Registry
    from udockpy.store.blobs import Incoming
    from udockpy.store.images import Image

    class Source(Protocol):
        """Where an image comes from."""

        name: str  # what it will be called here
        registry_name: str  # what a registry calls it; empty where it comes from no registry

        def manifest(self, digest: str) -> tuple[bytes, Descriptor]: ...
        def fetch(self, blob: Descriptor, sink: Incoming) -> None: ...


PARALLEL = 4  # downloads at once; registries give more connections less each


class PullOptions(NamedTuple):
    """What the user asked of a pull."""

    quiet: bool = False
    platform: str = ""
    name: str = ""  # for images in files; those of registries have their reference
    insecure: bool = False
    cert_dir: str = ""


def pull(word: str, options: PullOptions, environ: Mapping[str, str]) -> Image:
    """Brings the image that `word` names into the store. What is there is not brought again."""
    return bring(references.parse(word), options, environ)


def bring(reference: Reference, options: PullOptions, environ: Mapping[str, str]) -> Image:
    """As pull(), for a reference."""
    home = homes.find(environ)
    machine = platforms.of_machine(os.uname().machine)
    wanted = platforms.parse(options.platform) if options.platform else machine
    with (
        lock.shared(images.lock_file(home, "store")),
        open_source(reference, options, environ) as source,
        Progress(quiet=options.quiet) as progress,
    ):
        pull = _Pull(home, source, progress, environ)
        return pull.run(wanted, asked=bool(options.platform))


class _Pull:
    """One pull under way."""

    def __init__(
        self, home: Home, source: Source, progress: Progress, environ: Mapping[str, str]
    ) -> None:
        self.home = home
        self.source = source
        self.progress = progress
        self.environ = environ
        self.layout = images.layout(home)
        self.sinks: list[Incoming] = []

    def run(self, wanted: Platform, *, asked: bool) -> Image:
        """Pulls; with `asked` an image without a choice must be for the wanted platform, too."""
        content, descriptor, manifest = self._manifest(wanted)
        self.layout.make()
        self._bring(manifest.config, "configuration")
        raw = self.layout.content(manifest.config, self.source.name)
        config = documents.config(raw, self.source.name)
        if len(config.diff_ids) != len(manifest.layers):
            reason = f"{len(manifest.layers)} layers, but {len(config.diff_ids)} are configured"
            raise ImageError("cannot use the image", self.source.name, reason)
        if asked and not platforms.runs(config.platform, wanted):
            reason = f"{wanted} is wanted, it is for {config.platform}"
            raise ImageError("no image for the platform", self.source.name, reason)
        self._layers(manifest, config)
        self.layout.put(content, descriptor.digest)
        kind = descriptor.media_type or media.OCI_MANIFEST
        entry = images.named(
            descriptor._replace(media_type=kind),
            self.source.name,
            config,
            source=self.source.registry_name,
        )
        image = images.enter(self.home, entry)
        self.progress.tell(f"{image.name}: {descriptor.digest}")
        return image

    def _manifest(self, wanted: Platform) -> tuple[bytes, Descriptor, Manifest]:
        content, descriptor = self.source.manifest("")
        found = documents.manifest(content, descriptor.media_type, self.source.name)
        if isinstance(found, Index):
            chosen = platforms.choose(found.manifests, wanted, self.source.name)
            content, descriptor = self.source.manifest(chosen.digest)
            found = documents.manifest(content, chosen.media_type, self.source.name)
        if isinstance(found, Index):
            raise ImageError("cannot use the image", self.source.name, "an index in an index")
        return content, descriptor, found

    def _layers(self, manifest: Manifest, config: ImageConfig) -> None:
        """Brings layers, several at once, and unpacks each as soon as those below are there."""
        folder = images.tree_folder(self.home, documents.chain_id(config.diff_ids))
        count = len(manifest.layers)
        pool = ThreadPoolExecutor(PARALLEL)
        try:
            coming = [
                pool.submit(self._bring, layer, f"layer {number}/{count}")
                for number, layer in enumerate(manifest.layers, 1)
            ]
            paths = (
                (future.result(), self.layout.blob(layer.digest))[1]
                for future, layer in zip(coming, manifest.layers)
            )
            limit = configs.load(homes.config_file(self.environ), self.environ, {}).max_unpacked
            unpack(self.home, folder, zip(paths, config.diff_ids), limit)
            for future in coming:
                future.result()
        except BaseException:
            for sink in self.sinks:
                sink.abandoned = True  # nobody waits for the other downloads
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _bring(self, blob: Descriptor, what: str) -> None:
        part, whole = f"{what} {digests.short(blob.digest)}", size(blob.size)
        with blobs.incoming(self.home, self.layout, blob) as sink:
            if sink is None:
                self.progress.begin(part, "is there")
                self.progress.end(part, "is there")
                return
            resumed = f", of which {size(sink.offset)} are there" if sink.offset else ""
            self.progress.begin(part, f"{whole}{resumed}")
            sink.watcher = lambda count: self.progress.update(part, f"{size(count)} of {whole}")
            self.sinks.append(sink)
            self.source.fetch(blob, sink)
            sink.finish(self.layout.place(blob.digest), self.source.name)
            self.progress.end(part, whole)


def unpack(home: Home, folder: str, layers: Iterator[tuple[str, str]], limit: int) -> None:
    """Makes the tree in `folder` from layers, (blob, diff_id) each, unless it is there."""
    from udockpy.layer.layers import layer_writer
    from udockpy.layer.tar_reader import open_layer
    from udockpy.store.tree import tree_in
    from udockpy.util import atomic

    homes.make(home.trees)
    with lock.exclusive(images.lock_file(home, f"tree-{os.path.basename(folder)}")):
        if os.path.isdir(folder):
            return
        with atomic.new_directory(folder) as scratch:
            tree = tree_in(scratch)
            os.mkdir(tree.rootfs, 0o755)
            with layer_writer(tree.rootfs, tree.fakedb, limit=limit) as writer:
                for path, diff_id in layers:
                    with open_layer(path, diff_id) as members:
                        writer.apply(members)
            trees.mark(tree)


def ensure_tree(home: Home, image: Image, environ: Mapping[str, str]) -> None:
    """Unpacks a pulled image again whose tree was removed: trees are a cache."""
    if image.entry is None or os.path.isdir(image.folder):
        return
    with lock.shared(images.lock_file(home, "store")):
        unpack_image(home, image, environ)


def unpack_image(home: Home, image: Image, environ: Mapping[str, str]) -> None:
    """Makes the tree of a pulled image in its folder, unless that is there. The caller shares the
    lock of the store.
    """
    assert image.entry is not None
    layout = images.layout(home)
    manifest, config = layout.manifest(image.entry), layout.config(image.entry)
    paths = [layout.blob(layer.digest) for layer in manifest.layers]
    limit = configs.load(homes.config_file(environ), environ, {}).max_unpacked
    unpack(home, image.folder, iter(zip(paths, config.diff_ids)), limit)


def connect(
    host: str, repository: str, options: PullOptions, environ: Mapping[str, str]
) -> Registry:
    """The registry, as the user that he is there."""
    from udockpy.registry import credentials
    from udockpy.registry.client import Registry
    from udockpy.registry.http import Access

    config = configs.load(homes.config_file(environ), environ, {})
    insecure = options.insecure or host in config.insecure_registries
    who = credentials.find(host, repository, environ)
    return Registry(host, Access(insecure, options.cert_dir), who, environ)


@contextlib.contextmanager
def open_source(
    reference: Reference, options: PullOptions, environ: Mapping[str, str]
) -> Iterator[Source]:
    """Yields where an image comes from; nothing is brought yet."""
    if isinstance(reference, references.Remote):
        if options.name:
            raise UsageError(
                "cannot name", reference.name, "an image of a registry is named by its reference"
            )
        yield _InRegistry(reference, options, environ)
        return
    with local.open_files(reference) as files:
        yield _InFile(reference, local.Source(reference, files), options)


class _InRegistry:
    """An image of a registry, or of a mirror of that."""

    def __init__(self, reference: Remote, options: PullOptions, environ: Mapping[str, str]) -> None:
        from udockpy.registry import mirrors

        self.name = self.registry_name = reference.name
        self.quiet = options.quiet
        # The first of them that has the manifest has the blobs, too.
        self.places = [
            (
                reference._replace(host=place.host, repository=place.repository),
                connect(
                    place.host,
                    place.repository,
                    options._replace(insecure=options.insecure or place.insecure),
                    environ,
                ),
            )
            for place in mirrors.endpoints(reference, environ)
        ]

    def manifest(self, digest: str) -> tuple[bytes, Descriptor]:
        while True:
            reference, registry = self.places[0]
            try:
                found = registry.manifest(reference, digest)
            except RegistryError as e:
                if len(self.places) == 1:
                    raise
                if not self.quiet:
                    say(f"going on without a mirror: {e}")
                del self.places[0]
            else:
                return found.content, found.descriptor

    def fetch(self, blob: Descriptor, sink: Incoming) -> None:
        reference, registry = self.places[0]
        registry.fetch(reference, blob, sink)


class _InFile:
    """An image in a file of the host."""

    registry_name = ""

    def __init__(self, reference: Local, source: local.Source, options: PullOptions) -> None:
        self.source = source
        self.turn = threading.Lock()  # an archive is one file, read at one place at a time
        self.found = source.manifest()
        name = options.name or reference.tag or self.found.name
        if not name:
            hint = f"udockpy pull {reference.name} NAME"
            raise UsageError("cannot pull", reference.name, "the image has no name", hint=hint)
        self.name = references.parse_remote(name).name

    def manifest(self, digest: str) -> tuple[bytes, Descriptor]:
        if not digest:
            return self.found.content, self.found.descriptor
        descriptor = Descriptor("", digest, 0)
        content = self.source.content(descriptor)
        return content, descriptor._replace(size=len(content))

    def fetch(self, blob: Descriptor, sink: Incoming) -> None:
        sink.restart()
        with self.turn, self.source.open(blob) as file:
            while chunk := file.read(min(blobs.CHUNK, blob.size - sink.offset)):
                sink.write(chunk)
