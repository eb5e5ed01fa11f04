"""tags: what there is in a repository of a registry."""

from __future__ import annotations

from udockpy.oci import reference as references
from udockpy.oci.reference import Remote
from udockpy.operations.pull import PullOptions, connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def tags(
    word: str, environ: Mapping[str, str], *, insecure: bool = False, cert_dir: str = ""
) -> list[str]:
    """All tags, in the registry's order."""
    reference = references.parse(f"docker://{word.removeprefix('docker://')}")
    assert isinstance(reference, Remote)
    options = PullOptions(insecure=insecure, cert_dir=cert_dir)
    registry = connect(reference.host, reference.repository, options, environ)
    return registry.tags(reference.repository)
