"""sif: look at and into SIF files."""

from __future__ import annotations

import sys

from udockpy.errors import ImageError
from udockpy.sif import image, verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.sif.image import Image
    from udockpy.sif.verify import Report


def read(path: str) -> Image:
    """The header and the objects of a file."""
    file, found = image.open_image(path)
    file.close()
    return found


def dump(path: str, number: int) -> None:
    """Writes an object to standard output."""
    import shutil

    file, found = image.open_image(path)
    with file:
        entry = next((entry for entry in found.objects if entry.id == number), None)
        if entry is None:
            known = ", ".join(str(entry.id) for entry in found.objects)
            raise ImageError("cannot dump", path, f"no object {number}; there are {known}")
        file.seek(entry.offset)
        left = entry.size
        while left and (chunk := file.read(min(left, shutil.COPY_BUFSIZE))):  # type: ignore[attr-defined]
            left -= len(chunk)
            sys.stdout.buffer.write(chunk)


def check(path: str) -> Report:
    """Checks that a file is whole and, where it is signed, as it was signed."""
    file, _ = image.open_image(path)
    with file:
        return verify.verify(file, path)
