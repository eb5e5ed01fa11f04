"""HTTP for registries: TLS, proxies, redirects, patience. Knows nothing of images.

urllib3 does the protocol. Redirects and repetitions are done here, since who gets to see the user's
credentials, and how long a batch job waits, must not be left to defaults.
"""

from __future__ import annotations

import contextlib
import random
import time
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError, SSLError

from udockpy import __version__
from udockpy.errors import RegistryError
from udockpy.registry import certificates

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from urllib3 import BaseHTTPResponse

REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 5
BUSY = (408, 429, 500, 502, 503, 504)
ATTEMPTS = 5
LITTLE = 1 << 16
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds
TIMEOUT = urllib3.Timeout(connect=15, read=60)


class Access(NamedTuple):
    """How the user allows registries to be reached."""

    insecure: bool = False  # any certificate is taken, and plain HTTP where there is no TLS
    cert_dir: str = ""  # stands for the usual folders of certificates


class Interrupted(RegistryError):
    """Nobody knows what became of a request."""

    def __init__(
        self,
        what: str,
        subject: str = "",
        reason: str = "",
        *,
        hint: str = "",
        retry_after: str = "",
    ) -> None:
        super().__init__(what, subject, reason, hint=hint)
        self.retry_after = retry_after


class Http:
    """Requests to one registry and to where it sends us. Safe for several threads."""

    def __init__(self, host: str, access: Access, environ: Mapping[str, str]) -> None:
        self.host = host
        self.access = access
        self.environ = environ
        self._pools: dict[tuple[str, str], urllib3.PoolManager] = {}

    def open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        attempts: int = ATTEMPTS,
    ) -> BaseHTTPResponse:
        """Sends a request until there is an answer that is no redirect and no plea for patience, or
        until there were enough attempts. Interrupted when the last of them was cut off.

        The caller reads the body, which is as it was sent, and then calls finish().
        """
        sent = {"User-Agent": f"udockpy/{__version__}", "Accept-Encoding": "identity"}
        sent.update(headers or {})
        for _ in range(MAX_REDIRECTS):
            response = self._patiently(method, url, sent, body, attempts)
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or location is None:
                return response
            finish(response)
            target = self.redirected(url, location)
            if origin(target) != origin(url):
                sent.pop("Authorization", None)
            url = target
        raise self.failed(url, f"more than {MAX_REDIRECTS} redirects")

    def failed(
        self, url: str, reason: str, hint: str = "", *, kind: type[RegistryError] = RegistryError
    ) -> RegistryError:
        """An error about a request; queries may hold signatures, so they are not shown."""
        parts = urlsplit(url)
        return kind(
            "registry",
            self.host,
            f"{parts.scheme}://{parts.netloc}{parts.path}: {reason}",
            hint=hint,
        )

    def _patiently(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, attempts: int
    ) -> BaseHTTPResponse:
        for attempt in range(1, attempts + 1):
            try:
                response = self._once(method, url, headers, body)
            except HTTPError as e:
                why = _explain(e, urlsplit(url).netloc)
                if _is_hopeless(e):
                    raise self.failed(url, *why) from e
                if attempt == attempts:
                    raise self.failed(url, *why, kind=Interrupted) from e
                pause(attempt)
                continue
            if response.status not in BUSY or attempt == attempts:
                return response
            finish(response)
            pause(attempt, response.headers.get("Retry-After", ""))
        raise AssertionError("not reached")

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> BaseHTTPResponse:
        return self._pool(urlsplit(url)).request(
            method,
            url,
            headers=headers,
            body=body,
            redirect=False,
            retries=False,
            timeout=TIMEOUT,
            preload_content=False,
            decode_content=False,
        )

    def _pool(self, url: SplitResult) -> urllib3.PoolManager:
        key = (url.scheme, url.netloc)
        if key not in self._pools:
            tls = self._tls(url.netloc) if url.scheme == "https" else None
            proxy = _proxy(url, self.environ)
            self._pools[key] = (
                urllib3.ProxyManager(proxy, ssl_context=tls, maxsize=8)
                if proxy
                else urllib3.PoolManager(ssl_context=tls, maxsize=8)
            )
        return self._pools[key]

    def _tls(self, host: str) -> ssl.SSLContext:
        return certificates.context(
            host,
            self.environ,
            registry=self.host,
            folder=self.access.cert_dir,
            insecure=self.access.insecure,
        )

    def redirected(self, url: str, location: str) -> str:
        """Where an answer of `url` sends us, if that is allowed."""
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme
        # From plain HTTP, which the user allowed, anything is a step up; never from TLS down.
        if scheme not in (("https", "http") if url.startswith("http:") else ("https",)):
            raise self.failed(url, f"it redirects to {scheme}:, which is refused")
        if not urlsplit(target).hostname:
            raise self.failed(url, "it redirects to nowhere")
        return target


def finish(response: BaseHTTPResponse) -> None:
    """Gives the connection of an answer back, whose rest does not matter; unless that is long."""
    with contextlib.suppress(HTTPError):
        if len(response.read(LITTLE)) < LITTLE:
            response.release_conn()
            return
    response.close()


def pause(attempt: int, retry_after: str = "") -> None:
    """Waits before the next attempt: as long as the server says, else longer each time."""
    if retry_after.isdigit():
        seconds = min(float(retry_after), LONGEST_PAUSE)
    else:
        # Random, so that the nodes of a job do not come back all at once.
        seconds = FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
    time.sleep(seconds)


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Who answers at an address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _proxy(url: SplitResult, environ: Mapping[str, str]) -> str:
    proxies = {
        name[: -len("_proxy")].lower(): value
        for name, value in environ.items()
        if name.lower().endswith("_proxy") and value
    }
    if not url.hostname or not proxies or proxy_bypass(url.hostname, proxies):
        return ""
    proxy = proxies.get(url.scheme) or proxies.get("all") or ""
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _is_hopeless(error: HTTPError) -> bool:
    """Errors that another attempt would only repeat. A refused connection is one: a registry that
    restarts is rare, a mistyped port is not.
    """
    return isinstance(error, (SSLError, NameResolutionError)) or (
        isinstance(error, NewConnectionError) and "refused" in str(error)
    )


def _explain(error: HTTPError, host: str) -> tuple[str, str]:
    """Reason and hint."""
    text = str(error)
    if isinstance(error, SSLError):
        if "CERTIFICATE_VERIFY_FAILED" in text:
            why = text.partition("verify failed: ")[2].partition(" (_ssl")[0]
            folder = f"~/.config/containers/certs.d/{host}/"
            hint = f"put the authority's certificate as ca.crt into {folder}, or use --cert-dir"
            return f"its certificate is not trusted ({why})", hint
        return "no TLS is spoken there", "if you trust the network, use --insecure"
    if isinstance(error, NameResolutionError):
        return "the host name is unknown", "is the network reachable from this node?"
    if isinstance(error, NewConnectionError):
        return text.rpartition(": ")[2], ""
    return text.rpartition(": ")[2] or type(error).__name__, ""
