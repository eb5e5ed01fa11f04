"""Binds as Apptainer spells them: --bind SRC[:DST[:OPTIONS]],... and --mount type=bind,..."""

from __future__ import annotations

import os

from udockpy.container.plan import Bind
from udockpy.errors import BindError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OPTIONS = {"ro": True, "rw": False}
KEYS = {
    "type": "type",
    "source": "source",
    "src": "source",
    "destination": "target",
    "dst": "target",
    "target": "target",
    "ro": "ro",
    "readonly": "ro",
}


def of_binds(texts: Sequence[str], cwd: str) -> Iterator[Bind]:
    """Reads --bind. In it a backslash takes the meaning of a colon or comma."""
    for text in texts:
        specifications: list[list[str]] = []
        for item in split(text, ","):
            parts = [unescaped(part) for part in split(item, ":")]
            # `a:b:ro,rw`: a comma may also part options
            if specifications and len(specifications[-1]) > 2 and item in OPTIONS:
                specifications[-1].append(item)
            elif any(parts):
                specifications.append(parts)
        yield from (_bind(parts, cwd) for parts in specifications)


def of_mounts(texts: Sequence[str], cwd: str) -> Iterator[Bind]:
    """Reads --mount: comma separated values, one mount a line."""
    for text in texts:
        yield from _mounts(text, cwd)


def _mounts(text: str, cwd: str) -> Iterator[Bind]:
    import csv

    for row in csv.reader(text.splitlines()):
        if row:
            yield _mount(row, text, cwd)


def _bind(parts: list[str], cwd: str) -> Bind:
    source, target, *options = (*parts, "") if len(parts) == 1 else parts
    text = ":".join(parts)
    unknown = [option for option in options if option not in OPTIONS]
    if unknown:
        raise BindError(f"while parsing bind path: {unknown[0]} is not a valid bind option", text)
    read_only = any(OPTIONS[option] for option in options)
    return _checked(source, target, cwd, read_only=read_only, text=text)


def _mount(row: list[str], text: str, cwd: str) -> Bind:
    fields = {}
    for item in row:
        key, equals, value = item.partition("=")
        if key not in KEYS:
            raise BindError(f'while parsing mount "{text}"', f'invalid key "{key}" in mount')
        fields[KEYS[key]] = value if equals else "true"
    if fields.get("type") != "bind":
        kind = fields.get("type", "")
        raise BindError(f'while parsing mount "{text}"', f'invalid mount type "{kind}"')
    for key in ("source", "target"):
        if not fields.get(key):
            raise BindError(f'while parsing mount "{text}"', f"mounts must specify a {key}")
    read_only = fields.get("ro", "false") not in ("false", "0")
    return _checked(fields["source"], fields["target"], cwd, read_only=read_only, text=text)


def _checked(source: str, target: str, cwd: str, *, read_only: bool, text: str) -> Bind:
    if not source:
        raise BindError("while parsing bind path", text, "empty bind source")
    if target and not target.startswith("/"):
        raise BindError("while parsing bind path", text, "destination must be an absolute path")
    host = os.path.join(cwd, source)
    if not os.path.exists(host):
        what = f"mount {source}->{target or source} error"
        raise BindError(what, f"mount source {source} doesn't exist")
    target = os.path.normpath(target or host).replace("//", "/")
    return Bind(os.path.normpath(host), target, read_only)


def split(text: str, mark: str) -> list[str]:
    """Parts a text at a character that no backslash is before."""
    parts = [""]
    escaped = False
    for character in text:
        if character == mark and not escaped:
            parts.append("")
        else:
            parts[-1] += character
        escaped = character == "\\" and not escaped
    return parts


def unescaped(text: str) -> str:
    return text.replace("\\:", ":").replace("\\,", ",")
