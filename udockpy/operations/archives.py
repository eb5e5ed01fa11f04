"""save and load: images as files that docker, podman and skopeo read and write.

What is saved is an OCI layout with docker's manifest.json beside it, as docker itself saves since
version 25: every reader finds the kind that it knows.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tarfile
from typing import IO

from udockpy import home as homes
from udockpy.errors import ImageError, TargetError
from udockpy.oci import digest as digests
from udockpy.oci import media
from udockpy.oci.reference import DOCKER_ARCHIVE, OCI_ARCHIVE, Local
from udockpy.operations import outputs
from udockpy.operations.pull import PullOptions, bring
from udockpy.store import images, local
from udockpy.store.layout import VERSION
from udockpy.util import atomic, lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from udockpy.home import Home
    from udockpy.oci.image import Descriptor

KINDS = (OCI_ARCHIVE, DOCKER_ARCHIVE)


def save(names: Sequence[str], output: str, environ: Mapping[str, str]) -> None:
    """Writes images into one archive ("-": standard output)."""
    home = homes.find(environ)
    with lock.shared(images.lock_file(home, "store")):
        entries = [_entry(home, name) for name in names]
        outputs.write("cannot save", output, lambda file: _write(home, entries, file))


def load(source: str, options: PullOptions, environ: Mapping[str, str]) -> list[str]:
    """Brings all images of an archive ("-": standard input) into the store; returns their names."""
    if source != "-":
        return _load(source, options, environ)
    home = homes.find(environ)
    # The list of what an archive holds may be at its end.
    path = atomic.scratch_name(os.path.join(homes.make(home.downloads), "archive"))
    try:
        with open(path, "xb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        return _load(path, options, environ)
    finally:
        os.unlink(path)


def _entry(home: Home, name: str) -> Descriptor:
    image = images.find(home, name)
    if image is None or image.entry is None:
        reason = "no such image" if image is None else "an imported image has no layers"
        hint = "see udockpy images" if image is None else f"use udockpy export {name}"
        raise TargetError("cannot save", name, reason, hint=hint)
    return image.entry


def _write(home: Home, entries: Sequence[Descriptor], output: IO[bytes]) -> None:
    layout = images.layout(home)
    listed = []
    blobs: dict[str, None] = {}  # each once, in the order of the images
    for entry in entries:
        manifest = layout.manifest(entry)
        parts = (entry, manifest.config, *manifest.layers)
        blobs.update(dict.fromkeys(part.digest for part in parts))
        listed.append(
            {
                "Config": _name(manifest.config.digest),
                "RepoTags": [entry.ref_name] if "@" not in entry.ref_name else [],
                "Layers": [_name(layer.digest) for layer in manifest.layers],
            }
        )
    index = {
        "schemaVersion": 2,
        "mediaType": media.OCI_INDEX,
        "manifests": [entry.document() for entry in entries],
    }
    with tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "oci-layout", VERSION)
        _add(tar, "index.json", json.dumps(index).encode())
        _add(tar, "manifest.json", json.dumps(listed).encode())
        # skopeo gives directories that are not listed to root, which an ordinary user cannot.
        for folder in sorted({"blobs", *(os.path.dirname(_name(digest)) for digest in blobs)}):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
        for digest in blobs:
            with open(layout.blob(digest), "rb") as file:
                member = tarfile.TarInfo(_name(digest))
                member.size = os.fstat(file.fileno()).st_size
                tar.addfile(member, file)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _name(digest: str) -> str:
    return "/".join(("blobs", *digests.split(digest)))


def _load(path: str, options: PullOptions, environ: Mapping[str, str]) -> list[str]:
    kind, names = _content(path)
    return [bring(Local(kind, path, name), options, environ).name for name in names]


def _content(path: str) -> tuple[str, list[str]]:
    """The kind of an archive that names its images fully: the OCI's is preferred, for it keeps the
    digests, but docker's own has nothing but tags there.
    """
    found: dict[str, list[str]] = {}
    reason = "it is neither an OCI archive nor one of docker's"
    for kind in KINDS:
        reference = Local(kind, path)
        with local.open_files(reference) as files:
            try:
                found[kind] = local.Source(reference, files).names()
            except ImageError as e:
                reason = e.reason
    full = [kind for kind, names in found.items() if names and all("/" in name for name in names)]
    for kind in (*full, DOCKER_ARCHIVE, OCI_ARCHIVE):
        names = [name for name in found.get(kind, ()) if name]
        if names:
            return kind, names
    hint = f"name it: udockpy pull oci-archive:{path} NAME" if found else ""
    raise ImageError(
        "cannot load", path, "its images have no names" if found else reason, hint=hint
    )
