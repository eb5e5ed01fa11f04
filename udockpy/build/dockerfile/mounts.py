"""RUN --mount: what a command sees beside the image's files. Pure.

Source: the Dockerfile reference of docs.docker.com.
"""

from __future__ import annotations

from typing import NamedTuple

KINDS = ("bind", "cache", "tmpfs", "secret")
KEYS = {
    "bind": ("from", "source", "target", "readwrite"),
    "cache": ("id", "target", "readonly", "sharing", "from", "source", "mode", "uid", "gid"),
    "tmpfs": ("target", "size"),
    "secret": ("id", "target", "env", "required", "mode", "uid", "gid"),
}
ALIASES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "rw": "readwrite",
    "ro": "readonly",
}
FLAGS = ("readwrite", "readonly", "required")


class Mount(NamedTuple):
    """One mount."""

    kind: str
    values: tuple[tuple[str, str], ...]

    def value(self, key: str) -> str:
        return dict(self.values).get(key, "")

    def is_set(self, flag: str) -> bool:
        return self.value(flag).lower() in ("true", "1")

    @property
    def source(self) -> str:
        return self.value("source") or "/"

    @property
    def is_writable(self) -> bool:
        if self.kind in ("bind", "secret"):
            return self.is_set("readwrite")
        return not self.is_set("readonly")


def parse(text: str) -> Mount:
    """Reads `type=KIND,KEY=VALUE,...`. ValueError for what cannot be done."""
    found = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        key = ALIASES.get(key, key)
        if not equals and key not in FLAGS:
            raise ValueError(f"{part} is not KEY=VALUE")
        found[key] = value if equals else "true"
    kind = found.pop("type", "bind")
    if kind not in KINDS:
        raise ValueError(f"mounts of the type {kind} are not supported")
    if kind == "bind" and found.pop("readonly", "true") not in ("true", "1"):
        found["readwrite"] = "true"
    for key in found:
        if key not in KEYS[kind]:
            raise ValueError(f"{kind} mounts have no {key}")
    if kind != "secret" and not found.get("target"):
        raise ValueError("the mount has no target")
    if kind == "secret" and not (found.get("id") or found.get("target")):
        raise ValueError("the secret has no id")
    return Mount(kind, tuple(found.items()))
