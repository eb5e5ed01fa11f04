"""WWW-Authenticate: what a registry wants to know before it answers (RFC 9110)."""

from __future__ import annotations

import re
from typing import NamedTuple

PARAMETER = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))\s*(?:,|$)')
SCHEME = re.compile(r"\s*([A-Za-z0-9_-]+)(?:\s+|\s*,|$)")
MAX_HEADER = 8192


class Challenge(NamedTuple):
    """One way to say who one is."""

    scheme: str  # lower case
    parameters: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        return dict(self.parameters).get(name, "")


def parse(header: str) -> list[Challenge]:
    """The challenges of a header; what is malformed ends the list."""
    found = []
    header = header[:MAX_HEADER]
    at = 0
    while (scheme := SCHEME.match(header, at)) is not None:
        at = scheme.end()
        parameters = []
        while (parameter := PARAMETER.match(header, at)) is not None:
            at = parameter.end()
            name, quoted, plain = parameter.groups()
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.append((name.lower(), value))
        found.append(Challenge(scheme.group(1).lower(), tuple(parameters)))
    return found
