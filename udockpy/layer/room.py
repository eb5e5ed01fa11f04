"""Whether a fakedb has room for more: asked at each start, and so without the library, which takes
longer to load than a start.
"""

from __future__ import annotations

import sys

# Offsets in the header: docs/reference/fakedb.md.
CAPACITY_AND_USE = ((32, 128), (40, 136))  # changes, bytes of extended attributes


def is_scarce(path: str) -> bool:
    """Whether three quarters of it are used."""
    with open(path, "rb", buffering=0) as file:
        header = file.read(144)

    def number(at: int) -> int:
        return int.from_bytes(header[at : at + 8], sys.byteorder)

    return any(4 * number(used) > 3 * number(room) for room, used in CAPACITY_AND_USE)
