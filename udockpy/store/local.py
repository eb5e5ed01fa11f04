"""Images in files of the host, as skopeo, umoci and docker write them: OCI layouts (directories and
archives), docker's archives, and skopeo's dir:.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tarfile
from typing import IO, Any, NamedTuple

from udockpy.errors import ImageError, reason_of
from udockpy.oci import digest as digests
from udockpy.oci import image, media
from udockpy.oci.image import Descriptor, Index
from udockpy.oci.reference import DIR, DOCKER_ARCHIVE, OCI, Local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class Files(Protocol):
        """Where an image's files are."""

        def open(self, name: str) -> IO[bytes]: ...


CHUNK = 1 << 20


class Found(NamedTuple):
    """A manifest or an index, and the name that the file gives the image."""

    content: bytes
    descriptor: Descriptor
    name: str


class Directory(NamedTuple):
    """Files in a directory."""

    path: str

    def open(self, name: str) -> IO[bytes]:
        return open(os.path.join(self.path, name), "rb")


class Archive(NamedTuple):
    """Files in a tar archive; nothing is unpacked."""

    tar: tarfile.TarFile

    def open(self, name: str) -> IO[bytes]:
        for spelling in (name, f"./{name}"):
            with contextlib.suppress(KeyError):
                found = self.tar.extractfile(spelling)
                if found is not None:
                    return found
        raise FileNotFoundError(2, "not in the archive", name)


@contextlib.contextmanager
def open_files(reference: Local) -> Iterator[Files]:
    """Opens what a reference names."""
    if reference.transport in (OCI, DIR):
        yield Directory(reference.path)
        return
    try:
        tar = tarfile.open(reference.path, encoding="utf-8")  # noqa: SIM115
    except (OSError, tarfile.TarError) as e:
        reason = reason_of(e) if isinstance(e, OSError) else "no tar archive"
        raise ImageError("cannot read the image", reference.path, reason) from e
    with tar:
        yield Archive(tar)


class Source:
    """One image of a file."""

    def __init__(self, reference: Local, files: Files) -> None:
        self.reference = reference
        self.files = files
        self.subject = reference.name
        self.files_of: dict[str, str] = {}  # digest -> file, where that is not the OCI's

    def manifest(self) -> Found:
        """The image's manifest, or an index of which one is to be chosen."""
        if self.reference.transport == DIR:
            return self._of_dir()
        if self.reference.transport == DOCKER_ARCHIVE:
            return self._of_docker()
        return self._of_layout()

    def names(self) -> list[str]:
        """The images that there are to choose from."""
        if self.reference.transport == DOCKER_ARCHIVE:
            images = self._json("manifest.json")
            known = images if isinstance(images, list) else []
            return [tag for entry in known if isinstance(entry, dict) for tag in _tags(entry)]
        return [entry.ref_name for entry in self._entries()]

    def content(self, descriptor: Descriptor) -> bytes:
        """A small blob, checked."""
        with self.open(descriptor) as file:
            content = file.read(image.MAX_DOCUMENT + 1)
        if not digests.matches(descriptor.digest, content):
            raise self._bad(f"the blob {descriptor.digest} is damaged")
        return content

    def open(self, descriptor: Descriptor) -> IO[bytes]:
        algorithm, value = digests.split(descriptor.digest)
        if self.reference.transport == DIR:
            return self._open(value)
        return self._open(self.files_of.get(descriptor.digest, f"blobs/{algorithm}/{value}"))

    def _of_layout(self) -> Found:
        entries = self._entries()
        wanted = self.reference.tag
        fitting = [entry for entry in entries if wanted in ("", entry.ref_name)]
        if len(fitting) != 1:
            named = ", ".join(sorted(entry.ref_name or entry.digest for entry in entries)) or "none"
            count = "no image" if not fitting else "several images"
            reason = f"{count} of that name" if wanted else f"it holds {count}"
            hint = f"write {self.reference.transport}:{self.reference.path}:TAG"
            raise ImageError(
                "cannot choose", self.subject, f"{reason}; there is {named}", hint=hint
            )
        return Found(self.content(fitting[0]), fitting[0], fitting[0].ref_name)

    def _entries(self) -> tuple[Descriptor, ...]:
        content = self._read("index.json")
        index = image.manifest(content, media.OCI_INDEX, self.subject)
        return index.manifests if isinstance(index, Index) else ()

    def _of_dir(self) -> Found:
        content = self._read("manifest.json")
        return Found(content, Descriptor("", digests.of(content), len(content)), "")

    def _of_docker(self) -> Found:
        """Docker's archives have a list of files instead of manifests; this writes the manifest."""
        images = self._json("manifest.json")
        chosen = self._choose(images if isinstance(images, list) else [])
        layers = chosen.get("Layers")
        config = chosen.get("Config")
        if not isinstance(layers, list) or not isinstance(config, str):
            raise self._bad("its manifest.json is malformed")
        document = {
            "schemaVersion": 2,
            "mediaType": media.OCI_MANIFEST,
            "config": self._described(config, media.OCI_CONFIG),
            "layers": [self._described(str(name), media.OCI_LAYER) for name in layers],
        }
        content = json.dumps(document).encode()
        descriptor = Descriptor(media.OCI_MANIFEST, digests.of(content), len(content))
        return Found(content, descriptor, next(iter(_tags(chosen)), ""))

    def _choose(self, images: list[Any]) -> dict[str, Any]:
        wanted = self.reference.tag
        known = [entry for entry in images if isinstance(entry, dict)]
        wanted = wanted if not wanted or ":" in wanted.rpartition("/")[2] else f"{wanted}:latest"
        fitting = [entry for entry in known if not wanted or wanted in _tags(entry)]
        if len(fitting) != 1:
            named = ", ".join(tag for entry in known for tag in _tags(entry)) or "none"
            hint = f"write docker-archive:{self.reference.path}:NAME:TAG"
            raise ImageError("cannot choose", self.subject, f"there is {named}", hint=hint)
        chosen: dict[str, Any] = fitting[0]
        return chosen

    def _described(self, name: str, media_type: str) -> dict[str, Any]:
        """Reads a file of the archive through, to know its digest."""
        state, size, start = hashlib.sha256(), 0, b""
        with self._open(name) as file:
            while chunk := file.read(CHUNK):
                start = start or chunk[:2]
                state.update(chunk)
                size += len(chunk)
        if media_type == media.OCI_LAYER and start == b"\x1f\x8b":
            media_type += "+gzip"
        digest = f"sha256:{state.hexdigest()}"
        self.files_of[digest] = name
        return Descriptor(media_type, digest, size).document()

    def _json(self, name: str) -> Any:
        try:
            return json.loads(self._read(name))
        except (ValueError, RecursionError) as e:
            raise self._bad(f"{name} is not JSON") from e

    def _read(self, name: str) -> bytes:
        with self._open(name) as file:
            return file.read(image.MAX_DOCUMENT + 1)

    def _open(self, name: str) -> IO[bytes]:
        try:
            return self.files.open(name)
        except (OSError, tarfile.TarError) as e:
            reason = reason_of(e) if isinstance(e, OSError) else "damaged"
            raise self._bad(f"{name}: {reason}") from e

    def _bad(self, reason: str) -> ImageError:
        return ImageError("cannot read the image", self.subject, reason)


def _tags(entry: dict[str, Any]) -> list[str]:
    found = entry.get("RepoTags")
    return [tag for tag in found if isinstance(tag, str)] if isinstance(found, list) else []
