"""The client with a registry that misbehaves: every answer here is one that servers have given."""

from __future__ import annotations

import io
import itertools
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, Callable

import pytest

from udockpy.errors import ImageError, RegistryError
from udockpy.oci import digest as digests
from udockpy.oci import media
from udockpy.oci.image import Descriptor
from udockpy.oci.reference import Remote
from udockpy.registry import http as https
from udockpy.registry.client import Registry
from udockpy.registry.credentials import Credentials
from udockpy.registry.http import Access

CONTENT = bytes(range(256)) * 5000
DIGEST = digests.of(CONTENT)
BLOB = Descriptor(media.OCI_LAYER, DIGEST, len(CONTENT))
ME = Credentials("me", "pw")

Handle = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Leaves the answer to the test."""

    protocol_version = "HTTP/1.1"  # connections are used again

    def do_GET(self) -> None:
        server: Any = self.server
        server.seen.append((self.path, dict(self.headers)))
        server.handle_path(self)

    do_POST = do_PATCH = do_PUT = do_HEAD = do_GET

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Server:
    """An HTTP server on loopback. `on` maps paths to what they answer."""

    def __init__(self) -> None:
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.on: dict[str, Handle] = {"/v2/": lambda to: to.answer(200)}
        server: Any = self.http
        server.seen, server.handle_path = self.seen, self._handle
        self.host = f"127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def _handle(self, to: Handler) -> None:
        self.on.get(to.path.partition("?")[0], lambda to: to.answer(404))(to)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def other() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses take no time, and are noted."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


class Memory:
    """A sink in memory."""

    def __init__(self) -> None:
        self.content = b""

    @property
    def offset(self) -> int:
        return len(self.content)

    @offset.setter
    def offset(self, _: int) -> None:
        raise AssertionError

    def write(self, chunk: bytes) -> None:
        self.content += chunk

    def restart(self) -> None:
        self.content = b""


def client(server: Server, credentials: Credentials | None = None) -> Registry:
    registry = Registry(server.host, Access(insecure=True), credentials, {})
    registry._base = f"http://{server.host}"
    return registry


def reference(server: Server) -> Remote:
    return Remote(server.host, "a/b", "1")


BLOB_PATH = f"/v2/a/b/blobs/{DIGEST}"


def fetch(server: Server, credentials: Credentials | None = None) -> bytes:
    sink = Memory()
    client(server, credentials).fetch(reference(server), BLOB, sink)
    return sink.content


def test_a_download_goes_on_where_it_was_cut(server: Server) -> None:
    def cut(to: Handler) -> None:
        start = int(to.headers.get("Range", "bytes=0-")[6:-1])
        rest = CONTENT[start:]
        to.close_connection = True
        to.answer(
            206 if start else 200,
            rest[:300_000],
            Content_Length=str(len(rest)),
            Content_Range=f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}",
        )

    server.on[BLOB_PATH] = cut
    assert fetch(server) == CONTENT
    assert [headers.get("Range") for path, headers in server.seen][1] is not None


def test_a_server_without_ranges_sends_all_again(server: Server) -> None:
    cuts = [True]

    def forgetful(to: Handler) -> None:
        to.close_connection = True
        to.answer(
            200,
            CONTENT[:1000] if cuts and cuts.pop() else CONTENT,
            Content_Length=str(len(CONTENT)),
        )

    server.on[BLOB_PATH] = forgetful
    assert fetch(server) == CONTENT


def test_a_download_that_never_gets_on_ends(server: Server) -> None:
    def nothing(to: Handler) -> None:
        to.close_connection = True
        to.answer(200, Content_Length=str(len(CONTENT)))

    server.on[BLOB_PATH] = nothing
    with pytest.raises(RegistryError, match="cut off after 0 of"):
        fetch(server)
    assert len(server.seen) == https.ATTEMPTS


def test_more_bytes_than_promised_are_refused(server: Server) -> None:
    server.on[BLOB_PATH] = lambda to: to.answer(200, CONTENT + b"x")
    with pytest.raises(ImageError, match="more than its"):
        fetch(server)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_registry_is_given_the_time_it_asks_for(
    server: Server, quick: list[float], status: int
) -> None:
    answers = [status, status, 200]
    server.on[BLOB_PATH] = lambda to: to.answer(answers.pop(0), CONTENT, Retry_After="7")
    # The bodies of the first two are no content.
    assert fetch(server) == CONTENT
    assert quick == [7.0, 7.0]


def test_a_rate_limit_is_told(server: Server) -> None:
    server.on[BLOB_PATH] = lambda to: to.answer(429, b'{"errors":[{"message":"slow\\u001b down"}]}')
    with pytest.raises(RegistryError, match=r"limits how much it gives \(slow down\)") as caught:
        fetch(server)
    assert "log in" in caught.value.hint


def test_a_redirect_to_another_host_takes_no_credentials_along(
    server: Server, other: Server
) -> None:
    def guarded(to: Handler) -> None:
        if "Authorization" not in to.headers:
            to.answer(401, WWW_Authenticate='Basic realm="r"')
        else:
            to.answer(307, Location=f"http://{other.host}/elsewhere?signature=1")

    server.on[BLOB_PATH] = guarded
    other.on["/elsewhere"] = lambda to: to.answer(200, CONTENT)
    assert fetch(server, ME) == CONTENT
    ((path, headers),) = other.seen
    assert path == "/elsewhere?signature=1"
    assert "Authorization" not in headers


def test_a_redirect_on_the_same_host_keeps_them(server: Server) -> None:
    def guarded(to: Handler) -> None:
        if "Authorization" not in to.headers:
            to.answer(401, WWW_Authenticate='Basic realm="r"')
        elif to.path == "/here":
            to.answer(200, CONTENT)
        else:
            to.answer(302, Location="/here")

    server.on[BLOB_PATH] = server.on["/here"] = guarded
    assert fetch(server, ME) == CONTENT


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://h/x", "gopher:x"])
def test_redirects_to_anything_but_the_web_are_refused(server: Server, target: str) -> None:
    server.on[BLOB_PATH] = lambda to: to.answer(307, Location=target)
    with pytest.raises(RegistryError, match="it redirects to"):
        fetch(server)


def test_redirects_from_tls_to_plain_http_are_refused() -> None:
    http = https.Http("h.org", Access(insecure=True), {})
    with pytest.raises(RegistryError, match="redirects to http:, which is refused"):
        http.redirected("https://h.org/x", "http://h.org/y")


def test_redirects_in_a_circle_end(server: Server) -> None:
    server.on[BLOB_PATH] = lambda to: to.answer(307, Location=BLOB_PATH)
    with pytest.raises(RegistryError, match="more than 5 redirects"):
        fetch(server)


def token_server(server: Server, token: Handle) -> None:
    def guarded(to: Handler) -> None:
        if to.headers.get("Authorization") == "Bearer good":
            to.answer(200, CONTENT)
        else:
            realm = f"http://{server.host}/token"
            to.answer(401, WWW_Authenticate=f'Bearer realm="{realm}",service="s p"')

    server.on[BLOB_PATH] = guarded
    server.on["/token"] = token


def test_a_token_is_fetched_once_with_the_scope(server: Server, quick: list[float]) -> None:
    token_server(server, lambda to: to.answer(200, b'{"token": "good", "expires_in": 300}'))
    registry = client(server, ME)
    for _ in range(3):
        sink = Memory()
        registry.fetch(reference(server), BLOB, sink)
        assert sink.content == CONTENT
    assert quick == []  # nothing had to be tried twice
    asked = [path for path, _ in server.seen if path.startswith("/token")]
    assert asked == ["/token?service=s+p&scope=repository%3Aa%2Fb%3Apull&account=me"]


def test_a_token_that_is_never_enough_ends_in_denied(server: Server) -> None:
    count = itertools.count()
    token_server(server, lambda to: to.answer(200, b'{"token": "bad%d"}' % next(count)))
    with pytest.raises(RegistryError, match="denied"):
        fetch(server, ME)
    assert len(server.seen) < 10


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"token": 1}', b'{"token": "a\\nb"}'])
def test_a_token_that_is_none(server: Server, answer: bytes) -> None:
    token_server(server, lambda to: to.answer(200, answer))
    with pytest.raises(RegistryError, match=r"malformed|no token"):
        fetch(server, ME)


def test_servers_that_know_oauth2_alone_are_asked_so(server: Server) -> None:
    forms = []

    def oauth(to: Handler) -> None:
        if to.command == "GET":
            to.answer(405)
            return
        forms.append(to.rfile.read(int(to.headers["Content-Length"])).decode())
        to.answer(200, b'{"access_token": "good"}')

    token_server(server, oauth)
    assert fetch(server, ME) == CONTENT
    assert "grant_type=password&username=me&password=pw" in forms[0]
    assert fetch(server, Credentials("", "", "identity")) == CONTENT
    assert "grant_type=refresh_token&refresh_token=identity" in forms[1]


def test_credentials_are_sent_to_no_realm_without_tls(server: Server) -> None:
    registry = Registry("h.org", Access(), ME, {})
    header = 'Bearer realm="http://evil.org/token"'
    response: Any = SimpleNamespace(headers={"WWW-Authenticate": header})
    with pytest.raises(RegistryError, match=r"wants the credentials sent to http://evil\.org"):
        registry.authorization.answer(response, "", "")


def test_a_manifest_that_is_not_what_was_asked_for_is_refused(server: Server) -> None:
    server.on[f"/v2/a/b/manifests/{DIGEST}"] = lambda to: to.answer(200, b"{}")
    with pytest.raises(ImageError, match="has not the digest"):
        client(server).manifest(reference(server), DIGEST)
    server.on["/v2/a/b/manifests/1"] = lambda to: to.answer(
        200, b"{}", Docker_Content_Digest=DIGEST
    )
    with pytest.raises(ImageError, match="has not the digest"):
        client(server).manifest(reference(server))


def test_an_endless_manifest_is_refused(server: Server) -> None:
    server.on["/v2/a/b/manifests/1"] = lambda to: to.answer(200, b" " * (5 << 20))
    with pytest.raises(ImageError, match="too large"):
        client(server).manifest(reference(server))


def test_tags_come_in_pages(server: Server) -> None:
    def pages(to: Handler) -> None:
        if "last=" in to.path:
            to.answer(200, b'{"tags": ["c"]}')
        else:
            to.answer(
                200, b'{"tags": ["a", "b"]}', Link='</v2/a/b/tags/list?last=b&n=2>; rel="next"'
            )

    server.on["/v2/a/b/tags/list"] = pages
    assert client(server).tags("a/b") == ["a", "b", "c"]


def test_a_registry_that_is_not_there(server: Server) -> None:
    server.close()
    with pytest.raises(RegistryError, match="Connection refused"):
        fetch(server)


def test_plain_http_is_spoken_only_when_allowed(server: Server) -> None:
    with pytest.raises(RegistryError, match="no TLS is spoken there") as caught:
        Registry(server.host, Access(), None, {}).tags("a/b")
    assert "--insecure" in caught.value.hint
    server.on["/v2/a/b/tags/list"] = lambda to: to.answer(200, b'{"tags": null}')
    assert Registry(server.host, Access(insecure=True), None, {}).tags("a/b") == []


def test_a_blob_is_pushed_in_pieces(
    server: Server, quick: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("udockpy.registry.upload.PIECE", 500_000)
    came = []

    def upload(to: Handler) -> None:
        body = to.rfile.read(int(to.headers["Content-Length"]))
        came.append((to.command, to.path, len(body)))
        count = sum(size for _, _, size in came)
        to.answer(201 if to.command == "PUT" else 202, Location=f"/upload?at={count}")

    server.on["/v2/a/b/blobs/uploads/"] = server.on["/upload"] = upload
    assert client(server).push("a/b", BLOB, io.BytesIO(CONTENT), "")
    assert quick == []
    assert came == [
        ("POST", "/v2/a/b/blobs/uploads/", 0),
        ("PATCH", "/upload?at=0", 500_000),
        ("PATCH", "/upload?at=500000", 500_000),
        ("PATCH", "/upload?at=1000000", 280_000),
        ("PUT", f"/upload?at=1280000&digest={DIGEST.replace(':', '%3A')}", 0),
    ]


class Storage:
    """A registry's storage that appends what comes, as docker-registry does, and fails as told."""

    def __init__(self, server: Server) -> None:
        self.content = b""
        self.done = False
        self.uploads = 0
        self.lost = False
        self.trouble: list[str] = []  # what happens to the next pieces
        for path in ("/v2/a/b/blobs/uploads/", "/upload", f"/v2/a/b/blobs/{DIGEST}"):
            server.on[path] = self

    def __call__(self, to: Handler) -> None:
        getattr(self, to.command)(to)

    def HEAD(self, to: Handler) -> None:
        to.answer(200 if self.done else 404)

    def POST(self, to: Handler) -> None:
        self.uploads += 1
        self.content, self.lost = b"", False
        to.answer(202, Location="/upload?state=0")

    def GET(self, to: Handler) -> None:
        if self.lost:
            to.answer(404)
        else:
            end = max(len(self.content) - 1, 0)
            to.answer(204, Location=f"/upload?state={end}", Range=f"0-{end}")

    def PATCH(self, to: Handler) -> None:
        trouble = self.trouble.pop(0) if self.trouble else ""
        length = int(to.headers["Content-Length"])
        if trouble == "lost":
            self.lost = True
        count = {"cut": length // 3, "busy before": 0, "lost": 0}.get(trouble, length)
        self.content += to.rfile.read(count)
        if trouble in ("", "slow"):
            to.answer(202, Location=f"/upload?state={len(self.content)}")
            return
        to.rfile.read(length - count)
        if trouble.startswith("busy"):
            to.answer(503, Retry_After="7")
        elif trouble == "out of step":
            to.answer(416)
        else:
            to.close_connection = True

    def PUT(self, to: Handler) -> None:
        self.done = digests.of(self.content) == DIGEST
        trouble = self.trouble.pop(0) if self.trouble else ""
        if trouble == "no answer":
            to.close_connection = True
        else:
            to.answer(201 if self.done else 400)


@pytest.mark.parametrize(
    ("trouble", "uploads"),
    [
        (["cut"], 1),  # a part of a piece came
        (["slow", "no answer"], 1),  # a piece came, its answer did not
        (["busy before"], 2),  # nothing came at all, so it may as well begin anew
        (["busy after", "busy after"], 1),
        (["slow", "out of step"], 1),
        (["cut", "cut", "cut", "cut", "cut", "cut", "cut"], 1),  # it gets on each time
        (["slow", "lost"], 2),
        (["slow", "slow", "slow", "no answer"], 1),  # to the end of the upload
    ],
)
def test_an_upload_goes_on_from_what_the_registry_has(
    server: Server, monkeypatch: pytest.MonkeyPatch, trouble: list[str], uploads: int
) -> None:
    monkeypatch.setattr("udockpy.registry.upload.PIECE", 500_000)
    storage = Storage(server)
    storage.trouble = [*trouble]
    assert client(server).push("a/b", BLOB, io.BytesIO(CONTENT), "")
    assert storage.content == CONTENT
    assert storage.done
    assert storage.uploads == uploads


def test_an_upload_waits_as_long_as_it_is_told(server: Server, quick: list[float]) -> None:
    storage = Storage(server)
    storage.trouble = ["busy after"]
    assert client(server).push("a/b", BLOB, io.BytesIO(CONTENT), "")
    assert quick == [7.0]


def test_an_upload_that_never_gets_on_ends(server: Server, quick: list[float]) -> None:
    storage = Storage(server)
    storage.trouble = ["busy before"] * 50
    with pytest.raises(RegistryError, match="interrupted"):
        client(server).push("a/b", BLOB, io.BytesIO(CONTENT), "")
    assert len(quick) == https.ATTEMPTS - 1
