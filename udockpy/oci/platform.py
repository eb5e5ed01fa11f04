"""Platforms: which of an image's builds runs here."""

from __future__ import annotations

import re
from typing import NamedTuple

from udockpy.errors import ImageError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from udockpy.oci.image import Descriptor

# uname's word for a machine -> Go's, and the variant.
MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "riscv64": ("riscv64", ""),
    "loongarch64": ("loong64", ""),
}
# What an architecture without a variant means.
BASELINE = {"arm64": "v8", "amd64": "v1", "arm": "v7"}
WORD = re.compile(r"[a-z0-9_.-]+")


class Platform(NamedTuple):
    """An operating system and a processor, in Go's words."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, self))


def parse(text: str) -> Platform:
    """`OS/ARCHITECTURE[/VARIANT]`, as --platform has it."""
    words = text.split("/")
    if not 2 <= len(words) <= 3 or not all(WORD.fullmatch(word) for word in words):
        hint = "write it as linux/ARCHITECTURE[/VARIANT], for example linux/arm64"
        raise UsageError("bad platform", text or "(empty)", "malformed", hint=hint)
    return Platform(*words)


def of_machine(machine: str) -> Platform:
    """The platform of a node, by what uname says."""
    return Platform("linux", *MACHINES.get(machine, (machine, "")))


def runs(image: Platform, wanted: Platform) -> bool:
    """Whether an image of that platform is what is wanted: same kind, and no newer variant."""
    if (image.os, image.architecture) != (wanted.os, wanted.architecture):
        return False
    return _generation(image) <= _generation(wanted)


def choose(manifests: Sequence[Descriptor], wanted: Platform, subject: str) -> Descriptor:
    """The entry of an index that suits `wanted` best: the newest variant that runs, the first of
    equals.
    """
    fitting = [
        entry for entry in manifests if entry.platform is not None and runs(entry.platform, wanted)
    ]
    if fitting:
        return max(fitting, key=lambda entry: _generation(entry.platform or wanted))
    unnamed = [entry for entry in manifests if entry.platform is None]
    if len(manifests) == 1 and unnamed:
        return unnamed[0]
    # Attestations are filed under the platform unknown/unknown.
    offered = sorted(
        {str(entry.platform) for entry in manifests if entry.platform} - {"unknown/unknown"}
    )
    raise ImageError(
        "no image for the platform",
        subject,
        f"{wanted} is wanted, there is {', '.join(offered) or 'none'}",
        hint="choose one with --platform" if offered else "",
    )


def _generation(platform: Platform) -> int:
    variant = platform.variant or BASELINE.get(platform.architecture, "")
    digits = variant.lstrip("v").partition(".")[0]
    return int(digits) if digits.isdigit() and len(digits) < 4 else 0
