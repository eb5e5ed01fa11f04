"""Building from Dockerfiles: the store that layers and images go into, and what earlier builds
made.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import NamedTuple

from udockpy import home as homes
from udockpy.build.dockerfile import build as builder
from udockpy.build.dockerfile import grammar, ignore
from udockpy.build.dockerfile.store import Base, Known, Layer, Options
from udockpy.errors import BuildError, TargetError, UsageError, reason_of
from udockpy.layer import diff
from udockpy.layer.tree_reader import open_tree
from udockpy.oci import making as configurations
from udockpy.oci import platform as platforms
from udockpy.oci.image import Descriptor
from udockpy.operations import making, trees
from udockpy.operations.pull import PullOptions, ensure_tree, pull
from udockpy.operations.workshop import ThisNode
from udockpy.store import images, workplace
from udockpy.store.tree import Tree, tree_in
from udockpy.util import atomic
from udockpy.util.process import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from udockpy.build.dockerfile.stage import Stage
    from udockpy.build.workshop import Guest
    from udockpy.home import Home
    from udockpy.layer.member import Member
    from udockpy.oci.platform import Platform
    from udockpy.store.images import Image

NAMES = ("Dockerfile", "Containerfile")
IGNORE = (".containerignore", ".dockerignore")
FAILED = "localhost/failed-build"  # what a build had before the instruction that failed


class Build(NamedTuple):
    """What to make of what."""

    context: str
    names: tuple[str, ...]
    file: str = ""  # "" = that of the context
    arguments: tuple[str, ...] = ()  # NAME[=VALUE]
    target: str = ""
    platform: str = ""
    secrets: tuple[str, ...] = ()  # id=ID,src=FILE
    cache: bool = True
    squash: bool = False
    quiet: bool = False
    engine: str | None = None


def build(options: Build, environ: Mapping[str, str]) -> list[Image]:
    """Makes an image; returns it under each of its names."""
    home = homes.find(environ)
    names = [making.check_name(home, name) for name in options.names]
    if not os.path.isdir(options.context):
        raise TargetError("cannot build", options.context, "the context is no directory")
    path = options.file or _dockerfile(options.context)
    dockerfile = grammar.parse(_read(path), os.path.relpath(path))
    hidden = _ignore(options.context, path)
    with _opened(home, options, environ) as store:
        result = builder.build(dockerfile, hidden, _asked(options, environ), store)
        if result.failure:
            _keep(store, result.stage)
            raise result.failure
        for name in result.unused:
            say(f"the build argument {name} is not used")
        return [_enter(store, name, result.stage, squash=options.squash) for name in names]


def is_dockerfile(path: str) -> bool:
    """Whether a source is a Dockerfile by its name; what is in it does not say."""
    stem, _, rest = os.path.basename(path).partition(".")
    named = stem in NAMES or rest.lower().endswith("dockerfile")
    return named and os.path.isfile(path)


@contextlib.contextmanager
def unnamed(options: Build, environ: Mapping[str, str]) -> Iterator[str]:
    """Yields the name of an image that is gone afterwards; what is known of its build stays."""
    name = f"localhost/build/{os.urandom(6).hex()}"
    (image,) = build(options._replace(names=(name,)), environ)
    try:
        yield image.name
    finally:
        images.remove(homes.find(environ), image.name)


def _asked(options: Build, environ: Mapping[str, str]) -> Options:
    arguments = {}
    for word in options.arguments:
        name, equals, value = word.partition("=")
        if equals or name in environ:
            arguments[name] = value if equals else environ[name]
    secrets = dict(_secret(word) for word in options.secrets)
    return Options(
        context=os.path.abspath(options.context),
        arguments=tuple(arguments.items()),
        target=options.target,
        platform=options.platform,
        cache=options.cache,
        secrets=tuple(secrets.items()),
    )


def _secret(word: str) -> tuple[str, str]:
    found = dict(part.partition("=")[::2] for part in word.split(","))
    path = found.get("src") or found.get("source") or ""
    if not found.get("id") or not os.path.isfile(path):
        raise UsageError("bad secret", word, "write id=ID,src=FILE, with a file that is there")
    return found["id"], os.path.abspath(path)


def _dockerfile(context: str) -> str:
    for name in NAMES:
        path = os.path.join(context, name)
        if os.path.isfile(path):
            return path
    raise TargetError("cannot build", context, "it has no Dockerfile", hint="name it: -f FILE")


def _ignore(context: str, dockerfile: str) -> ignore.Ignore:
    """The rules of the Dockerfile's own file, else of the context's."""
    for path in (f"{dockerfile}.dockerignore", *(os.path.join(context, name) for name in IGNORE)):
        if os.path.isfile(path):
            try:
                return ignore.parse(_read(path))
            except ValueError as e:
                raise BuildError("cannot build", path, str(e)) from None
    return ignore.Ignore()


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError as e:
        raise TargetError("cannot build", path, reason_of(e)) from e


def _enter(store: LocalStore, name: str, stage: Stage, *, squash: bool = False) -> Image:
    document = {**stage.document, "config": dict(stage.settings)}
    blobs = [*stage.base.blobs, *(layer.blob for layer in stage.layers)]
    bottom = stage.bottom
    if squash and len(blobs) - len(bottom.blobs) > 1:
        layer = store.squashed(stage)
        blobs = [*bottom.blobs, layer.blob]
        step = configurations.Step(store.now, "udockpy build --squash")
        stacked = configurations.stacked(bottom.document, step, layer.diff_id)
        document |= {"rootfs": stacked["rootfs"], "history": stacked["history"]}
    return making.enter(store.home, name, document, blobs)


def _keep(store: LocalStore, stage: Stage) -> None:
    """Leaves what there was before the instruction that failed."""
    if stage.base.blobs or stage.layers:
        image = _enter(store, making.check_name(store.home, FAILED), stage)
        say(f"what was there before it is the image {image.name}")


@contextlib.contextmanager
def _opened(home: Home, options: Build, environ: Mapping[str, str]) -> Iterator[LocalStore]:
    with workplace.opened(home) as folder:
        yield LocalStore(home, environ, folder, options.engine, quiet=options.quiet)


class LocalStore:
    """The store of build/dockerfile/store.py, in the state directory."""

    def __init__(
        self,
        home: Home,
        environ: Mapping[str, str],
        folder: str,
        engine: str | None,
        *,
        quiet: bool,
    ) -> None:
        self.home = home
        self.environ = environ
        self.folder = folder
        self.quiet = quiet
        self.now = making.now(environ)
        self.newest = making.source_date_epoch(environ)
        self.machine: Platform = platforms.of_machine(os.uname().machine)
        self.node = ThisNode(home, environ, self.now, engine)
        self.count = 0

    def base(self, name: str, platform: str) -> Base:
        image = images.find(self.home, name)
        if image is None or platform:
            image = pull(name, PullOptions(quiet=self.quiet, platform=platform), self.environ)
        ensure_tree(self.home, image, self.environ)
        if image.entry is None:
            return self._of_tree(image.tree)
        layout = images.layout(self.home)
        manifest = layout.manifest(image.entry)
        document = json.loads(layout.content(manifest.config, image.name))
        return Base(document, manifest.layers, image.tree)

    def _of_tree(self, tree: Tree) -> Base:
        """An imported image is a tree alone, which never changes: it becomes the first layer."""
        found = os.stat(tree.rootfs)
        key = f"import-{found.st_dev:x}-{found.st_ino:x}-{found.st_ctime_ns:x}"
        known = self.recall(key)
        layer = known.layer if known else None
        if layer is None:
            with open_tree(tree.rootfs, tree.fakedb) as reader:
                layer = self.pack(reader.members())
            self.remember(key, Known(layer))
        step = configurations.Step(int(found.st_ctime), "udockpy import")
        document = configurations.empty(self.machine)
        return Base(configurations.stacked(document, step, layer.diff_id), (layer.blob,), tree)

    def new_folder(self) -> str:
        self.count += 1
        folder = os.path.join(self.folder, str(self.count))
        os.mkdir(folder, 0o700)
        return folder

    def new_tree(self) -> Tree:
        tree = tree_in(self.new_folder())
        os.mkdir(tree.rootfs, 0o755)
        os.chmod(tree.rootfs, 0o755)
        return tree

    def copy(self, source: Tree, tree: Tree) -> None:
        trees.copy_into(source, tree)

    def apply(self, tree: Tree, layers: Sequence[Layer]) -> None:
        from udockpy.layer.layers import layer_writer
        from udockpy.layer.tar_reader import open_layer

        layout = images.layout(self.home)
        with layer_writer(tree.rootfs, tree.fakedb, limit=1 << 60) as writer:
            writer.lowest = False  # the tree has something already
            for layer in layers:
                with open_layer(layout.blob(layer.blob.digest), layer.diff_id) as members:
                    writer.apply(members)

    def pack(self, members: Iterable[Member]) -> Layer:
        packed = making.put_layer(self.home, members)
        return Layer(making.describe(packed), packed.diff_id)

    def squashed(self, stage: Stage) -> Layer:
        """All that a build put on its image, in one layer."""
        tree, below = stage.tree(), stage.bottom.tree
        with contextlib.ExitStack() as stack:
            lower = (
                stack.enter_context(open_tree(below.rootfs, below.fakedb)).names() if below else ()
            )
            found = diff.compare(
                lower, stack.enter_context(open_tree(tree.rootfs, tree.fakedb)).names()
            )
            reader = stack.enter_context(open_tree(tree.rootfs, tree.fakedb))
            return self.pack(diff.layer(reader.names(), found, newest=self.newest))

    def recall(self, key: str) -> Known | None:
        try:
            with open(os.path.join(self.home.build_cache, key), encoding="utf-8") as file:
                row = json.load(file)
        except (FileNotFoundError, ValueError):
            return None
        if row is None:
            return Known(None)
        blob = Descriptor(row["media_type"], row["digest"], row["size"])
        if not images.layout(self.home).has(blob.digest):
            return None  # its image was removed
        return Known(Layer(blob, row["diff_id"]))

    def remember(self, key: str, known: Known) -> None:
        row = None
        if known.layer:
            blob = known.layer.blob
            row = {"media_type": blob.media_type, "digest": blob.digest, "size": blob.size}
            row["diff_id"] = known.layer.diff_id
        folder = homes.make(self.home.build_cache)
        atomic.write(os.path.join(folder, key), json.dumps(row).encode())

    def digest_of(self, key: str, make: Callable[[], str]) -> str:
        path = os.path.join(homes.make(self.home.build_cache), f"{key}.digest")
        try:
            with open(path, encoding="ascii") as file:
                return file.read()
        except FileNotFoundError:
            value = make()
            atomic.write(path, value.encode())
            return value

    def cache_folder(self, name: str) -> str:
        key = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return homes.make(os.path.join(self.home.build_cache, "mounts", key))

    def run(self, tree: Tree, guest: Guest) -> int:
        return self.node.run(tree, guest)

    def say(self, text: str) -> None:
        if not self.quiet:
            say(text)
