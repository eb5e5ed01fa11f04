"""A blob on its way into a registry, in pieces.

A piece is never sent twice unasked: registries append what comes. After a cut the registry is asked
how much it has, and the upload goes on from there.
"""

from __future__ import annotations

import re
from typing import IO
from urllib.parse import urlencode

from udockpy.registry import http as https
from udockpy.registry.http import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3 import BaseHTTPResponse

    from udockpy.oci.image import Descriptor
    from udockpy.registry.client import Registry

PIECE = 16 << 20  # bytes that are sent at once
RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")
OUT_OF_STEP = 416  # the registry has more or less than we think
LOST = 404  # it knows nothing of the upload, perhaps because that is done


class Upload:
    """One upload."""

    def __init__(
        self, registry: Registry, repository: str, blob: Descriptor, file: IO[bytes]
    ) -> None:
        self.registry = registry
        self.repository = repository
        self.blob = blob
        self.file = file
        self.scope = f"repository:{repository}:pull,push"
        self.offset = 0  # how much the registry has
        self.location = ""  # where it wants the rest

    def run(self, source: str) -> bool:
        """Brings the blob; False where the registry took it from the repository `source` (may be
        empty).
        """
        if not self._begin(source):
            return False
        attempt, reached = 0, 0
        while True:
            try:
                self._send()
                return True
            except Interrupted as e:
                attempt = 1 if self.offset > reached else attempt + 1
                reached = self.offset
                if attempt == https.ATTEMPTS:
                    raise
                https.pause(attempt, e.retry_after)
                if self.registry.has(self.repository, self.blob):
                    return True  # only the last answer did not come through
                self._take_up()

    def _begin(self, source: str = "") -> bool:
        path, scope = "blobs/uploads/", self.scope
        if source:
            path += "?" + urlencode({"mount": self.blob.digest, "from": source})
            scope += f" repository:{source}:pull"
        response = self._ask("POST", path, (201, 202), scope=scope)
        self._note(response, 0)
        return response.status == 202

    def _send(self) -> None:
        """Sends what the registry lacks, and says that this is all."""
        self.file.seek(self.offset)
        while chunk := self.file.read(PIECE):
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{self.offset}-{self.offset + len(chunk) - 1}",
            }
            response = self._once("PATCH", self.location, (202,), headers, chunk)
            self._note(response, self.offset + len(chunk))
        end = self.location + ("&" if "?" in self.location else "?")
        self._once("PUT", end + urlencode({"digest": self.blob.digest}), (201,))

    def _take_up(self) -> None:
        """Finds out where to go on, or begins anew where the upload is lost."""
        response = self._ask("GET", self.location, (200, 202, 204, LOST))
        found = RANGE.fullmatch(response.headers.get("Range", ""))
        # 0-0 is said of an empty upload and of one with one byte.
        if response.status != LOST and found and 0 < int(found[1]) < self.blob.size:
            self._note(response, int(found[1]) + 1)
        else:
            self._begin()

    def _note(self, response: BaseHTTPResponse, offset: int) -> None:
        self.offset = offset
        if response.headers.get("Location") or not self.location:
            self.location = self.registry.location(response)

    def _once(
        self,
        method: str,
        path: str,
        expected: tuple[int, ...],
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> BaseHTTPResponse:
        """Asks what must not be asked again before it is known what became of it."""
        known = (*expected, *https.BUSY, OUT_OF_STEP, LOST)
        response = self._ask(method, path, known, headers=headers, body=body, attempts=1)
        if response.status in expected:
            return response
        raise Interrupted(
            "registry",
            self.registry.host,
            f"{self._subject}: the upload was interrupted (answer {response.status})",
            retry_after=response.headers.get("Retry-After", ""),
        )

    @property
    def _subject(self) -> str:
        return f"{self.repository}@{self.blob.digest}"

    def _ask(
        self,
        method: str,
        path: str,
        expected: tuple[int, ...],
        *,
        scope: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        attempts: int = https.ATTEMPTS,
    ) -> BaseHTTPResponse:
        response = self.registry.ask(
            method,
            self.repository,
            path,
            self._subject,
            headers,
            scope=scope or self.scope,
            expected=expected,
            body=body,
            attempts=attempts,
        )
        https.finish(response)
        return response
