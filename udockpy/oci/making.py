"""New configurations and manifests, made from those of the image below. Pure."""

from __future__ import annotations

import json
import posixpath
import shlex
import time
from typing import Any, Callable, NamedTuple

from udockpy.errors import UsageError
from udockpy.oci import media
from udockpy.oci.image import Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from udockpy.oci.platform import Platform

Document = dict[str, Any]


class Step(NamedTuple):
    """How an image differs from the one below, for its history."""

    created: int  # seconds since 1970
    created_by: str
    comment: str = ""
    author: str = ""


def empty(platform: Platform) -> Document:
    """The configuration of an image without layers."""
    variant = {"variant": platform.variant} if platform.variant else {}
    return {
        "architecture": platform.architecture,
        "os": platform.os,
        **variant,
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": []},
        "history": [],
    }


def without_layers(below: Document) -> Document:
    """What a configuration says of how it is run, and of nothing else."""
    return {**below, "rootfs": {"type": "layers", "diff_ids": []}, "history": []}


def stacked(below: Document, step: Step, diff_id: str = "") -> Document:
    """The configuration with one more layer; without one where `diff_id` is empty."""
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(step.created))
    entry: Document = {"created": created, "created_by": step.created_by}
    entry |= {"author": step.author} if step.author else {}
    entry |= {"comment": step.comment} if step.comment else {}
    entry |= {} if diff_id else {"empty_layer": True}
    diff_ids = [*below["rootfs"]["diff_ids"], *([diff_id] if diff_id else [])]
    return {
        **below,
        "created": created,
        **({"author": step.author} if step.author else {}),
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [*(below.get("history") or []), entry],
    }


def manifest(config: Descriptor, layers: Sequence[Descriptor]) -> bytes:
    """The manifest of an image, in the OCI's words whatever those of its layers were."""
    return encoded(
        {
            "schemaVersion": 2,
            "mediaType": media.OCI_MANIFEST,
            "config": config.document(),
            "layers": [
                layer._replace(media_type=media.of_oci(layer.media_type)).document()
                for layer in layers
            ],
        }
    )


def encoded(document: Document) -> bytes:
    """The bytes that are hashed: the same for the same document."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def changed(below: Document, instructions: Iterable[str]) -> Document:
    """The configuration with instructions of a Dockerfile: ENV, CMD, ENTRYPOINT, WORKDIR, USER,
    LABEL, EXPOSE, VOLUME, STOPSIGNAL.
    """
    settings: Document = dict(below.get("config") or {})
    said = set()
    for line in instructions:
        keyword, _, rest = line.strip().partition(" ")
        keyword, rest = keyword.upper(), rest.strip()
        if keyword not in INSTRUCTIONS or not rest:
            known = ", ".join(INSTRUCTIONS)
            raise UsageError("bad change", line, "not understood", hint=f"write one of {known}")
        try:
            INSTRUCTIONS[keyword](settings, rest)
        except ValueError as e:
            raise UsageError("bad change", line, str(e)) from None
        said.add(keyword)
        if keyword == "ENTRYPOINT" and "CMD" not in said:
            settings.pop("Cmd", None)  # it was meant for the entrypoint of the image below
    return {**below, "config": settings}


def _env(settings: Document, rest: str) -> None:
    known = dict(word.partition("=")[::2] for word in settings.get("Env") or [])
    known.update(_assignments(rest))
    settings["Env"] = [f"{name}={value}" for name, value in known.items()]


def _label(settings: Document, rest: str) -> None:
    settings["Labels"] = {**(settings.get("Labels") or {}), **_assignments(rest)}


def _assignments(rest: str) -> dict[str, str]:
    """`NAME=VALUE...`, quoted as a shell has it, or `NAME VALUE`."""
    name, space, value = rest.partition(" ")
    if "=" not in name:
        if not space:
            raise ValueError("write NAME=VALUE")
        return {name: value.strip()}
    words = shlex.split(rest)
    if not all(word.partition("=")[1] for word in words):
        raise ValueError("write NAME=VALUE, with quotes around values with spaces")
    return dict(word.partition("=")[::2] for word in words)


def _command(key: str) -> Callable[[Document, str], None]:
    def change(settings: Document, rest: str) -> None:
        settings[key] = _words(rest) if rest.startswith("[") else ["/bin/sh", "-c", rest]

    return change


def _workdir(settings: Document, rest: str) -> None:
    settings["WorkingDir"] = posixpath.normpath(
        posixpath.join("/", settings.get("WorkingDir") or "", rest)
    )


def _text(key: str) -> Callable[[Document, str], None]:
    def change(settings: Document, rest: str) -> None:
        settings[key] = rest

    return change


def _volume(settings: Document, rest: str) -> None:
    added = _words(rest) if rest.startswith("[") else rest.split()
    settings["Volumes"] = {**(settings.get("Volumes") or {}), **{path: {} for path in added}}


def _expose(settings: Document, rest: str) -> None:
    added: Document = {word if "/" in word else f"{word}/tcp": {} for word in rest.split()}
    settings["ExposedPorts"] = {**(settings.get("ExposedPorts") or {}), **added}


def _words(rest: str) -> list[str]:
    try:
        words = json.loads(rest)
    except (ValueError, RecursionError):
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError('not a JSON list of texts, such as ["sh", "-c", "date"]')
    return words


INSTRUCTIONS: dict[str, Callable[[Document, str], None]] = {
    "CMD": _command("Cmd"),
    "ENTRYPOINT": _command("Entrypoint"),
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "STOPSIGNAL": _text("StopSignal"),
    "USER": _text("User"),
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
