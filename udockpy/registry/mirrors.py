"""registries.conf: where images of a registry really are, as podman and skopeo have it.

Heeded are [[registry]] tables: prefix, location, insecure, blocked, and their mirrors. Names
without a host are always docker.io's: a search list would let whoever is first in it answer for
another.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from udockpy import home as homes
from udockpy.errors import RegistryError, UsageError, reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.oci.reference import Remote

SYSTEM = "/etc/containers"


class Endpoint(NamedTuple):
    """A place that may have a repository."""

    host: str
    repository: str
    insecure: bool


def endpoints(reference: Remote, environ: Mapping[str, str]) -> list[Endpoint]:
    """Where to ask for an image: mirrors first, the registry itself last."""
    name = f"{reference.host}/{reference.repository}"
    table, prefix = _find(name, environ)
    if table.get("blocked") is True:
        raise RegistryError("registry", reference.host, f"{prefix} is blocked by registries.conf")
    places = [
        *(mirror for mirror in _tables(table, "mirror") if _serves(mirror, reference)),
        {**table, "location": table.get("location") or prefix or reference.host},
    ]
    rest = name[len(prefix or reference.host) :]
    return [_endpoint(place, rest) for place in places]


def files(environ: Mapping[str, str]) -> list[str]:
    """The files that count; later ones replace tables of earlier ones."""
    named = environ.get("CONTAINERS_REGISTRIES_CONF")
    if named:
        return [named]
    config = environ.get("XDG_CONFIG_HOME") or os.path.join(homes.user_home(environ), ".config")
    own = os.path.join(config, "containers")
    base = own if os.path.exists(os.path.join(own, "registries.conf")) else SYSTEM
    found = [os.path.join(base, "registries.conf")]
    for folder in (os.path.join(directory, "registries.conf.d") for directory in (SYSTEM, own)):
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        found += [os.path.join(folder, name) for name in names if name.endswith(".conf")]
    return [path for path in found if os.path.exists(path)]


def _find(name: str, environ: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """The table with the longest prefix that fits, and what of the name that prefix is."""
    best: tuple[dict[str, Any], str] = ({}, "")
    for path in files(environ):
        for table in _tables(_load(path), "registry"):
            prefix = _matched(str(table.get("prefix") or table.get("location") or ""), name)
            if prefix and len(prefix) >= len(best[1]):
                best = (table, prefix)
    return best


def _matched(prefix: str, name: str) -> str:
    """The part of `name` that a prefix stands for; empty where it does not fit."""
    if prefix.startswith("*."):
        host = name.partition("/")[0]
        return host if host.partition(":")[0].endswith(prefix[1:]) else ""
    return prefix if prefix and f"{name}/".startswith(f"{prefix}/") else ""


def _serves(mirror: Mapping[str, Any], reference: Remote) -> bool:
    """Whether a mirror is to be asked for this kind of reference."""
    kind = mirror.get("pull-from-mirror", "all")
    return kind in ("all", "digest-only" if reference.digest else "tag-only")


def _endpoint(place: Mapping[str, Any], rest: str) -> Endpoint:
    host, _, path = f"{place.get('location', '')}{rest}".partition("/")
    return Endpoint(host, path, place.get("insecure") is True)


def _tables(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = document.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _load(path: str) -> dict[str, Any]:
    import importlib

    try:
        library = importlib.import_module("tomllib")
    except ImportError:  # before Python 3.11
        library = importlib.import_module("tomli")
    try:
        with open(path, "rb") as file:
            document: dict[str, Any] = library.load(file)
    except OSError as e:
        raise UsageError("cannot read the configuration", path, reason_of(e)) from e
    except ValueError as e:
        raise UsageError("cannot read the configuration", path, str(e)) from e
    return document
