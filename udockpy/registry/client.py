"""The client of one registry: manifests, blobs and tags."""

from __future__ import annotations

import json
from typing import IO, NamedTuple

from urllib3.exceptions import HTTPError

from udockpy.errors import ImageError, RegistryError
from udockpy.oci import digest as digests
from udockpy.oci import media
from udockpy.oci.image import MAX_DOCUMENT, Descriptor
from udockpy.oci.reference import DEFAULT_HOST
from udockpy.registry import http as https
from udockpy.registry.authorization import Authorization, denied
from udockpy.registry.credentials import Credentials
from udockpy.registry.http import Access, Http

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Protocol

    from urllib3 import BaseHTTPResponse

    from udockpy.oci.reference import Remote

    class Sink(Protocol):
        """Where a blob goes; it checks what it is given, and remembers how far it got."""

        offset: int

        def write(self, chunk: bytes) -> None: ...
        def restart(self) -> None: ...


CHUNK = 1 << 18
SERVERS = {DEFAULT_HOST: "registry-1.docker.io"}
ACCEPT = ", ".join((*media.INDEXES, *media.MANIFESTS, *media.DOCKER_SCHEMA1))
MAX_PAGES = 1000
MAX_CHALLENGES = 3  # a token may have ended, and its successor may be one for too little


class Fetched(NamedTuple):
    """A manifest as the registry gave it."""

    content: bytes
    descriptor: Descriptor


class Registry:
    """One registry, as one user. Safe for several threads."""

    def __init__(
        self,
        host: str,
        access: Access,
        credentials: Credentials | None,
        environ: Mapping[str, str],
    ) -> None:
        self.host = host
        self.http = Http(host, access, environ)
        self.authorization = Authorization(self.http, credentials)
        self._base = ""

    def check_login(self) -> bool:
        """Asks the registry whether it takes the credentials; False when it takes anybody."""
        response = self.http.open("GET", f"{self._url()}/v2/")
        https.finish(response)
        if response.status != 401:
            self._expect(response, "", (200, 404))
            return False
        if not self.authorization.answer(response, "", ""):
            raise denied(self.host, known=True)
        headers = {"Authorization": self.authorization.header("")}
        response = self.http.open("GET", f"{self._url()}/v2/", headers=headers)
        self._expect(response, "", (200,))
        https.finish(response)
        return True

    def manifest(self, reference: Remote, version: str = "") -> Fetched:
        """The manifest or index that a reference, or a digest in its repository, names."""
        version = version or reference.version
        subject = f"{reference.repository}{'@' if ':' in version else ':'}{version}"
        response = self._get(
            reference.repository, f"manifests/{version}", subject, {"Accept": ACCEPT}
        )
        content = _read(response, MAX_DOCUMENT + 1)
        if len(content) > MAX_DOCUMENT:
            raise ImageError("cannot use the image", subject, "its manifest is too large")
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
        promised = version if ":" in version else response.headers.get("Docker-Content-Digest", "")
        if kind in media.DOCKER_SCHEMA1:
            promised = ""  # its digest is not of what is sent; reading it says why it is refused
        if promised and not (digests.valid(promised) and digests.matches(promised, content)):
            reason = f"what the registry sent has not the digest {promised[:80]}"
            raise ImageError("cannot use the image", subject, reason)
        return Fetched(content, Descriptor(kind, promised or digests.of(content), len(content)))

    def fetch(self, reference: Remote, blob: Descriptor, sink: Sink) -> None:
        """Downloads a blob from where the sink is on, and goes on where it was cut off."""
        subject = f"{reference.repository}@{blob.digest}"
        attempt = 1
        while sink.offset < blob.size:
            before = sink.offset
            try:
                self._fetch_rest(reference, blob, sink, subject)
                if sink.offset < blob.size:
                    raise HTTPError("the connection was cut off")
            except HTTPError as e:
                attempt = 1 if sink.offset > before else attempt + 1
                if attempt > https.ATTEMPTS:
                    reason = f"cut off after {sink.offset} of {blob.size} bytes, again and again"
                    raise RegistryError("registry", self.host, f"{subject}: {reason}") from e
                https.pause(attempt)

    def has(self, repository: str, blob: Descriptor) -> bool:
        """Whether a blob need not be pushed."""
        path = f"blobs/{blob.digest}"
        scope = _pushing(repository)
        response = self.ask("HEAD", repository, path, repository, scope=scope, expected=(200, 404))
        https.finish(response)
        return response.status == 200

    def push(self, repository: str, blob: Descriptor, file: IO[bytes], source: str) -> bool:
        """Uploads a blob, in pieces; False where the registry took it from the repository `source`
        (may be empty) that it has itself.
        """
        from udockpy.registry.upload import Upload

        return Upload(self, repository, blob, file).run(source)

    def push_manifest(self, reference: Remote, content: bytes, media_type: str) -> None:
        """Puts a manifest, whose blobs are there, under the reference's tag or digest."""
        repository = reference.repository
        response = self.ask(
            "PUT",
            repository,
            f"manifests/{reference.tag or reference.digest}",
            f"{repository}{reference.suffix}",
            {"Content-Type": media_type},
            scope=_pushing(repository),
            expected=(200, 201),
            body=content,
        )
        https.finish(response)

    def tags(self, repository: str) -> list[str]:
        """All tags of a repository."""
        found: list[str] = []
        path = "tags/list?n=1000"
        for _ in range(MAX_PAGES):
            response = self._get(repository, path, repository, {})
            names, more = _tags(_read(response, MAX_DOCUMENT)), response.headers.get("Link", "")
            if names is None:
                raise RegistryError("registry", self.host, f"{repository}: its list is malformed")
            found += names
            # </v2/NAME/tags/list?n=1000&last=x>; rel="next"
            _, found_path, rest = more.partition("/tags/list?")
            if not found_path or not names:
                break
            path = f"tags/list?{rest.partition('>')[0]}"
        return found

    def _fetch_rest(self, reference: Remote, blob: Descriptor, sink: Sink, subject: str) -> None:
        headers = {"Range": f"bytes={sink.offset}-"} if sink.offset else {}
        response = self._get(
            reference.repository, f"blobs/{blob.digest}", subject, headers, (200, 206)
        )
        try:
            if sink.offset and not _continues(response, sink.offset):
                sink.restart()  # the server knows no ranges
            for chunk in _chunks(response):
                if sink.offset + len(chunk) > blob.size:
                    reason = f"the registry sends more than its {blob.size} bytes"
                    raise ImageError("cannot use the image", subject, reason)
                sink.write(chunk)
        finally:
            response.close()

    def _url(self) -> str:
        """The registry's address: HTTPS, unless the user allows plain HTTP and that is spoken."""
        if not self._base:
            server = SERVERS.get(self.host, self.host)
            self._base = f"https://{server}"
            if self.http.access.insecure:
                try:
                    https.finish(self.http.open("GET", f"{self._base}/v2/"))
                except RegistryError:
                    self._base = f"http://{server}"
        return self._base

    def _get(
        self,
        repository: str,
        path: str,
        subject: str,
        headers: Mapping[str, str],
        expected: tuple[int, ...] = (200,),
    ) -> BaseHTTPResponse:
        """Reads something of a repository."""
        scope = f"repository:{repository}:pull"
        return self.ask("GET", repository, path, subject, headers, scope=scope, expected=expected)

    def location(self, response: BaseHTTPResponse) -> str:
        """Where an upload goes on."""
        location = response.headers.get("Location", "")
        return self.http.redirected(f"{self._url()}/v2/", location)

    def ask(
        self,
        method: str,
        repository: str,
        path: str,
        subject: str,
        headers: Mapping[str, str] | None = None,
        *,
        scope: str,
        expected: tuple[int, ...],
        body: bytes | None = None,
        attempts: int = https.ATTEMPTS,
    ) -> BaseHTTPResponse:
        """Asks something of a repository, and says who asks when that is wanted. `path` may be an
        address that the registry gave.
        """
        base = self._url()
        url = path if "://" in path else f"{base}/v2/{repository}/{path}"
        # An address elsewhere, for an upload, has its own signature.
        own = https.origin(url) == https.origin(base)
        for _ in range(MAX_CHALLENGES):
            who = self.authorization.header(scope)
            sent = {**(headers or {}), **({"Authorization": who} if who and own else {})}
            response = self.http.open(method, url, headers=sent, body=body, attempts=attempts)
            if response.status != 401 or not own:
                break
            https.finish(response)
            if not self.authorization.answer(response, scope, who):
                break
        self._expect(response, subject, expected)
        return response

    def _expect(self, response: BaseHTTPResponse, subject: str, expected: tuple[int, ...]) -> None:
        if response.status in expected:
            return
        said = _message(response)
        https.finish(response)
        known = self.authorization.credentials is not None
        if response.status in (401, 403):
            raise denied(self.host, known=known, what=subject)
        prefix = f"{subject}: " if subject else ""
        if response.status == 404:
            # Registries answer so for private repositories, too.
            reason, hint = (
                "not found",
                "" if known else f"if it is private: udockpy login {self.host}",
            )
        elif response.status == 429:
            reason = "too many requests; the registry limits how much it gives"
            hint = "wait" if known else f"wait, or log in: udockpy login {self.host}"
        else:
            reason, hint = f"unexpected answer {response.status}", ""
        reason += f" ({said})" if said else ""
        raise RegistryError("registry", self.host, prefix + reason, hint=hint)


def _pushing(repository: str) -> str:
    return f"repository:{repository}:pull,push"


def _read(response: BaseHTTPResponse, limit: int) -> bytes:
    try:
        content = response.read(limit)
    except HTTPError as e:
        raise RegistryError("registry", "", f"the answer was cut off ({e})") from e
    finally:
        https.finish(response)
    return content


def _chunks(response: BaseHTTPResponse) -> Iterator[bytes]:
    while chunk := response.read(CHUNK):
        yield chunk


def _continues(response: BaseHTTPResponse, offset: int) -> bool:
    """Whether an answer begins where we are."""
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(
        f"bytes {offset}-"
    )


def _message(response: BaseHTTPResponse) -> str:
    """What the registry says of an error, as far as a terminal should see it."""
    try:
        errors = json.loads(response.read(1 << 16))["errors"]
        said = "; ".join(str(error.get("message", "")) for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, HTTPError):
        return ""
    return "".join(character for character in said if character.isprintable())[:200]


def _tags(content: bytes) -> list[str] | None:
    try:
        names = json.loads(content)["tags"] or []
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return names
