"""Media types: what a blob or a manifest is. Docker's v2s2 types mean the same as the OCI's."""

from __future__ import annotations

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_SCHEMA1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)

DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar"
OCI_FOREIGN_LAYER = "application/vnd.oci.image.layer.nondistributable.v1.tar"

INDEXES = (OCI_INDEX, DOCKER_LIST)
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
CONFIGS = (OCI_CONFIG, DOCKER_CONFIG)
# How a layer is compressed is told by its first bytes, so all of these are read alike.
LAYERS = (
    *(f"{OCI_LAYER}{suffix}" for suffix in ("", "+gzip", "+zstd")),
    *(f"{OCI_FOREIGN_LAYER}{suffix}" for suffix in ("", "+gzip", "+zstd")),
    *(f"{DOCKER_LAYER}{suffix}" for suffix in ("", ".gzip", ".zstd")),
    f"{DOCKER_FOREIGN_LAYER}.gzip",
)


def of_oci(layer: str) -> str:
    """The OCI's word for a kind of layer."""
    for docker, oci in ((DOCKER_LAYER, OCI_LAYER), (DOCKER_FOREIGN_LAYER, OCI_FOREIGN_LAYER)):
        if layer.startswith(docker):
            return oci + layer[len(docker) :].replace(".", "+")
    return layer
