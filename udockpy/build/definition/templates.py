"""`{{ NAME }}` in definition files. Pure."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PLACE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


def fill(line: str, known: Mapping[str, str], used: set[str]) -> str:
    """The line with its arguments put in, whose names are added to `used`. Comments stay as they
    are. ValueError for an argument that is not known.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in known:
            raise ValueError(f'the argument "{name}" has no value')
        used.add(name)
        return known[name]

    return line if line.lstrip().startswith("#") else PLACE.sub(value, line)
