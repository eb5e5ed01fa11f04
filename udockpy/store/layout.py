"""An OCI image layout: blobs by digest, and an index of named images. Other tools read it, too."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from udockpy import home as homes
from udockpy.errors import ImageError, reason_of
from udockpy.oci import digest as digests
from udockpy.oci import image, media
from udockpy.oci.image import Descriptor, ImageConfig, Index, Manifest
from udockpy.util import atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = b'{"imageLayoutVersion": "1.0.0"}\n'


class Layout(NamedTuple):
    """A directory that holds images."""

    path: str
    site: str = ""  # another layout, that of the site: what it has need not be here

    def place(self, digest: str) -> str:
        """Where the blob of a valid digest is to be."""
        return os.path.join(self.path, "blobs", *digests.split(digest))

    def blob(self, digest: str) -> str:
        """Where the blob of a valid digest is, if it is anywhere."""
        own = self.place(digest)
        if self.site and not os.path.exists(own):
            theirs = Layout(self.site).place(digest)
            return theirs if os.path.exists(theirs) else own
        return own

    def has(self, digest: str) -> bool:
        return os.path.exists(self.blob(digest))

    def entries(self) -> tuple[Descriptor, ...]:
        """What the index holds, and the site's where no own image has the name."""
        return (*self.own_entries(), *self.site_entries())

    def site_entries(self) -> tuple[Descriptor, ...]:
        """What the site's index holds beyond our own."""
        if not self.site:
            return ()
        names = {entry.ref_name for entry in self.own_entries()}
        theirs = Layout(self.site).own_entries()
        return tuple(entry for entry in theirs if entry.ref_name not in names)

    def own_entries(self) -> tuple[Descriptor, ...]:
        """What the index holds; nothing where there is no layout yet."""
        try:
            content = _read(os.path.join(self.path, "index.json"))
        except FileNotFoundError:
            return ()
        found = image.manifest(content, media.OCI_INDEX, self.path)
        return found.manifests if isinstance(found, Index) else ()

    def find(self, name: str) -> Descriptor | None:
        """The entry of that reference."""
        return next((entry for entry in self.entries() if entry.ref_name == name), None)

    def content(self, descriptor: Descriptor, subject: str) -> bytes:
        """A small blob: a manifest or a configuration. Checked, for it decides about others."""
        try:
            content = _read(self.blob(descriptor.digest))
        except OSError as e:
            reason = f"{descriptor.digest}: {reason_of(e)}"
            raise ImageError("cannot read the image", subject, reason, hint=HINT) from e
        if not digests.matches(descriptor.digest, content):
            reason = f"the blob {descriptor.digest} is damaged"
            raise ImageError("cannot read the image", subject, reason, hint=HINT)
        return content

    def manifest(self, descriptor: Descriptor) -> Manifest:
        """The manifest that an entry of ours points to."""
        subject = descriptor.ref_name or descriptor.digest
        found = image.manifest(self.content(descriptor, subject), descriptor.media_type, subject)
        if isinstance(found, Index):
            raise ImageError("cannot use the image", subject, "it is an index of images")
        return found

    def config(self, descriptor: Descriptor) -> ImageConfig:
        subject = descriptor.ref_name or descriptor.digest
        return image.config(self.content(self.manifest(descriptor).config, subject), subject)

    def make(self) -> None:
        """Makes the layout where there is none."""
        homes.make(os.path.join(self.path, "blobs", "sha256"))
        atomic.write_if_changed(os.path.join(self.path, "oci-layout"), VERSION)
        if not os.path.exists(os.path.join(self.path, "index.json")):
            self.write_index(())

    def put(self, content: bytes, digest: str) -> None:
        """Writes a small blob, of which the digest was checked; mends one that is damaged."""
        homes.make(os.path.dirname(self.place(digest)))
        atomic.write_if_changed(self.place(digest), content)

    def write_index(self, entries: Iterable[Descriptor]) -> None:
        """Replaces the index. The caller holds its lock."""
        document = {
            "schemaVersion": 2,
            "mediaType": media.OCI_INDEX,
            "manifests": [entry.document() for entry in entries],
        }
        content = json.dumps(document, indent=1).encode() + b"\n"
        atomic.write(os.path.join(self.path, "index.json"), content)

    def reachable(self, entries: Iterable[Descriptor]) -> set[str]:
        """The digests of all blobs that these images need."""
        found: set[str] = set()
        for entry in entries:
            manifest = self.manifest(entry)
            found |= {entry.digest, manifest.config.digest}
            found |= {layer.digest for layer in manifest.layers}
        return found

    def digests(self) -> set[str]:
        """The digests of all blobs that there are."""
        found = set()
        base = os.path.join(self.path, "blobs")
        for algorithm in _listdir(base):
            for value in _listdir(os.path.join(base, algorithm)):
                if digests.valid(f"{algorithm}:{value}"):
                    found.add(f"{algorithm}:{value}")
        return found

    def sweep(self) -> None:
        """Removes files that a killed process left half written. Nobody else may be writing."""
        base = os.path.join(self.path, "blobs")
        folders = (self.path, *(os.path.join(base, algorithm) for algorithm in _listdir(base)))
        for folder in folders:
            for name in _listdir(folder):
                if name.startswith("."):
                    os.unlink(os.path.join(folder, name))


HINT = "pull it again"


def _listdir(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(image.MAX_DOCUMENT + 1)
