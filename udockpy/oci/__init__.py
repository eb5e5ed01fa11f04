"""The OCI's image specification as values: references, digests, manifests, platforms. Pure."""
