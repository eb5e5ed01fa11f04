"""Manifests, indexes and configurations: checked on the way in, frozen from then on."""

from __future__ import annotations

import json
from typing import Any, Callable, NamedTuple

from udockpy.errors import ImageError
from udockpy.oci import digest as digests
from udockpy.oci import media
from udockpy.oci.platform import Platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DOCUMENT = 4 << 20  # what the distribution specification asks registries to take
MAX_LAYERS = 1000
MAX_SIZE = 1 << 50
MAX_DIGITS = 30
REF_NAME = "org.opencontainers.image.ref.name"


class Descriptor(NamedTuple):
    """Points to content by its digest."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: tuple[tuple[str, str], ...] = ()

    @property
    def ref_name(self) -> str:
        return dict(self.annotations).get(REF_NAME, "")

    def document(self) -> dict[str, Any]:
        """As it is written in an index."""
        made: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.platform is not None:
            made["platform"] = {
                "architecture": self.platform.architecture,
                "os": self.platform.os,
                **({"variant": self.platform.variant} if self.platform.variant else {}),
            }
        if self.annotations:
            made["annotations"] = dict(self.annotations)
        return made


class Manifest(NamedTuple):
    """One image: its configuration and its layers, the lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


class Index(NamedTuple):
    """Several images, usually one per platform."""

    manifests: tuple[Descriptor, ...]


class Step(NamedTuple):
    """How one layer came about, or a change of the configuration alone."""

    created: str
    created_by: str
    comment: str
    empty_layer: bool


class ImageConfig(NamedTuple):
    """What an image says of itself and of how it is run."""

    platform: Platform
    diff_ids: tuple[str, ...]  # digests of the layers as plain tar archives
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""


def manifest(content: bytes, media_type: str, subject: str) -> Manifest | Index:
    """Reads a manifest or an index. The type in the document counts; where it has none, what the
    server or the descriptor said.
    """
    read = _Reader(_load(content, subject), subject)
    kind = read.text("mediaType") or media_type.partition(";")[0].strip()
    if kind in media.DOCKER_SCHEMA1 or read.document.get("schemaVersion") == 1:
        raise ImageError(
            "cannot use the image",
            subject,
            "its manifest is of Docker's schema 1, which names layers that nobody can verify",
            hint="have it pushed again by any docker of the last years",
        )
    if read.document.get("schemaVersion") != 2:
        raise read.bad("schemaVersion is not 2")
    if kind in media.INDEXES or (kind not in media.MANIFESTS and "manifests" in read.document):
        return Index(read.items("manifests", descriptor))
    if kind not in media.MANIFESTS and "layers" not in read.document:
        raise read.bad(f"unknown media type {kind or '(none)'}")
    return _manifest(read)


def _manifest(read: _Reader) -> Manifest:
    config = descriptor(read.document.get("config"), read.subject)
    layers = read.items("layers", descriptor)
    if config.media_type not in media.CONFIGS:
        raise read.bad(f"it is no image but an artifact of type {config.media_type}")
    if len(layers) > MAX_LAYERS:
        raise read.bad(f"more than {MAX_LAYERS} layers")
    for layer in layers:
        if layer.media_type not in media.LAYERS:
            raise read.bad(f"layers of type {layer.media_type} cannot be unpacked")
    return Manifest(config, layers)


def descriptor(document: Any, subject: str) -> Descriptor:
    """Checks one descriptor."""
    read = _Reader(document, subject)
    digest, size = read.text("digest"), read.document.get("size")
    if not digests.valid(digest):
        raise read.bad(f"bad digest {digest[:80] or '(none)'}")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        raise read.bad(f"bad size of {digest}")
    platform = read.document.get("platform")
    return Descriptor(
        read.text("mediaType"),
        digest,
        size,
        None if platform is None else _platform(_Reader(platform, subject)),
        read.pairs("annotations"),
    )


def config(content: bytes, subject: str) -> ImageConfig:
    """Reads an image's configuration."""
    read = _Reader(_load(content, subject), subject)
    root = _Reader(read.document.get("rootfs"), subject)
    run = _Reader(read.document.get("config") or {}, subject)
    diff_ids = root.texts("diff_ids")
    for diff_id in diff_ids:
        if not digests.valid(diff_id):
            raise read.bad(f"bad diff_id {diff_id[:80]}")
    return ImageConfig(
        platform=_platform(read),
        diff_ids=diff_ids,
        env=run.texts("Env"),
        entrypoint=run.texts("Entrypoint"),
        cmd=run.texts("Cmd"),
        workdir=run.text("WorkingDir"),
        user=run.text("User"),
        labels=run.pairs("Labels"),
        volumes=run.keys("Volumes"),
        stop_signal=run.text("StopSignal"),
    )


def history(document: Any, subject: str) -> list[Step]:
    """The steps that made an image, of its configuration."""
    read = _Reader(document, subject)
    steps = read.document.get("history") or []
    if not isinstance(steps, list):
        raise read.bad("history is no list")
    return [_step(_Reader(step, subject)) for step in steps]


def _step(read: _Reader) -> Step:
    return Step(
        read.text("created"),
        read.text("created_by"),
        read.text("comment"),
        bool(read.document.get("empty_layer")),
    )


def chain_id(diff_ids: tuple[str, ...]) -> str:
    """The digest of layers applied one on the other."""
    if not diff_ids:
        return digests.of(b"")
    chain = diff_ids[0]
    for diff_id in diff_ids[1:]:
        chain = digests.of(f"{chain} {diff_id}".encode())
    return chain


def _platform(read: _Reader) -> Platform:
    return Platform(read.text("os") or "linux", read.text("architecture"), read.text("variant"))


def _load(content: bytes, subject: str) -> Any:
    if len(content) > MAX_DOCUMENT:
        raise ImageError("cannot read the image", subject, "its manifest is too large")
    try:
        return json.loads(content, parse_int=_number)
    except (ValueError, RecursionError) as e:
        raise ImageError("cannot read the image", subject, f"not JSON ({e})") from e


def _number(text: str) -> int:
    """Long ones take very long to read, and are no size of anything."""
    if len(text) > MAX_DIGITS:
        raise ValueError("a number is too large")
    return int(text)


class _Reader:
    """An untrusted JSON object; every field is checked as it is read."""

    def __init__(self, document: Any, subject: str) -> None:
        self.subject = subject
        if not isinstance(document, dict):
            raise self.bad("an object is missing")
        self.document: Mapping[str, Any] = document

    def bad(self, reason: str) -> ImageError:
        return ImageError("cannot use the image", self.subject, reason)

    def text(self, key: str) -> str:
        value = self.document.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) or "\0" in value:
            raise self.bad(f"{key} is no text")
        return value

    def items(self, key: str, read: Callable[[Any, str], Descriptor]) -> tuple[Descriptor, ...]:
        value = self.document.get(key)
        if not isinstance(value, list):
            raise self.bad(f"{key} is no list")
        return tuple(read(item, self.subject) for item in value)

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.document.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.bad(f"{key} is no list of texts")
        return tuple(value)

    def keys(self, key: str) -> tuple[str, ...]:
        value = self.document.get(key)
        if value is None:
            return ()
        if not isinstance(value, dict):
            raise self.bad(f"{key} is no map")
        return tuple(value)

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        value = self.document.get(key)
        if value is None:
            return ()
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise self.bad(f"{key} is no map of texts")
        return tuple(value.items())
