"""Authorization: turns a registry's challenge and the user's credentials into a header."""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from udockpy.errors import RegistryError
from udockpy.registry import challenge as challenges
from udockpy.registry import http as https
from udockpy.registry.credentials import Credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from udockpy.registry.challenge import Challenge
    from udockpy.registry.http import Http

CLIENT_ID = "udockpy"
MAX_ANSWER = 1 << 20
SHORTEST_LIFE = 60  # seconds; what the token specification says a token without expires_in lives
MARGIN = 5  # seconds that a token is given up before its end


class Authorization:
    """What to send to one registry. Safe for several threads: one of them gets a token for all."""

    def __init__(self, http: Http, credentials: Credentials | None) -> None:
        self.http = http
        self.credentials = credentials
        self._lock = threading.Lock()
        self._basic = ""
        self._tokens: dict[str, tuple[str, float]] = {}  # scope -> header, end of its life

    def header(self, scope: str) -> str:
        """The value of Authorization, or empty where the registry has not asked yet."""
        with self._lock:
            return self._basic or self._token(scope)

    def answer(self, response: BaseHTTPResponse, scope: str, rejected: str) -> bool:
        """Takes up the challenge of a 401; False when there is nothing (more) to say to it.

        `rejected` is the header that was not enough.
        """
        asked = challenges.parse(response.headers.get("WWW-Authenticate", ""))
        with self._lock:
            known = self._basic or self._token(scope)
            if known and known != rejected:
                return True  # another thread was faster
            self._tokens.pop(scope, None)
            for challenge in asked:
                if challenge.scheme == "bearer":
                    self._tokens[scope] = self._fetch(challenge, scope)
                    return self._tokens[scope][0] != rejected
                if challenge.scheme == "basic" and self.credentials and not rejected:
                    self._basic = basic(self.credentials)
                    return True
        return False

    def _token(self, scope: str) -> str:
        header, end = self._tokens.get(scope, ("", 0.0))
        return header if time.monotonic() < end else ""

    def _fetch(self, challenge: Challenge, scope: str) -> tuple[str, float]:
        realm = self._realm(challenge)
        # What the registry asks for, and what we know to need: one of them may be missing.
        scopes = list(dict.fromkeys(f"{scope} {challenge.get('scope')}".split()))
        service = [("service", challenge.get("service"))] if challenge.get("service") else []
        if self.credentials and self.credentials.identity_token:
            document = self._post(realm, service, scopes)
        else:
            document = self._get(realm, service, scopes)
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not token.isprintable():
            raise self.http.failed(realm, "it gave no token")
        life = document.get("expires_in")
        seconds = life if isinstance(life, int) and life > 0 else SHORTEST_LIFE
        return f"Bearer {token}", time.monotonic() + max(seconds - MARGIN, MARGIN)

    def _realm(self, challenge: Challenge) -> str:
        realm = challenge.get("realm")
        parts = urlsplit(realm)
        allowed = ("https", "http") if self.http.access.insecure else ("https",)
        if parts.scheme not in allowed or not parts.hostname:
            place = realm[:200] or "nowhere"
            reason = f"it wants the credentials sent to {place}, which is refused"
            raise RegistryError("registry", self.http.host, reason)
        return realm

    def _get(self, realm: str, service: list[tuple[str, str]], scopes: list[str]) -> dict[str, Any]:
        parts = urlsplit(realm)
        query = [*parse_qsl(parts.query), *service, *(("scope", scope) for scope in scopes)]
        headers = {}
        if self.credentials:
            query.append(("account", self.credentials.user))
            headers["Authorization"] = basic(self.credentials)
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
        response = self.http.open("GET", url, headers=headers)
        if response.status in (404, 405) and self.credentials:
            https.finish(response)  # some servers know OAuth2 alone
            return self._post(realm, service, scopes)
        return self._document(realm, response)

    def _post(
        self, realm: str, service: list[tuple[str, str]], scopes: list[str]
    ) -> dict[str, Any]:
        assert self.credentials is not None
        form = [("client_id", CLIENT_ID), *service, ("scope", " ".join(scopes))]
        if self.credentials.identity_token:
            form += [
                ("grant_type", "refresh_token"),
                ("refresh_token", self.credentials.identity_token),
            ]
        else:
            form += [
                ("grant_type", "password"),
                ("username", self.credentials.user),
                ("password", self.credentials.password),
            ]
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        response = self.http.open("POST", realm, headers=headers, body=urlencode(form).encode())
        return self._document(realm, response)

    def _document(self, realm: str, response: BaseHTTPResponse) -> dict[str, Any]:
        content = response.read(MAX_ANSWER)
        https.finish(response)
        if response.status in (400, 401, 403):
            raise denied(self.http.host, known=self.credentials is not None)
        if response.status != 200:
            raise self.http.failed(realm, f"the token server answers {response.status}")
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise self.http.failed(realm, "the token server's answer is malformed")
        return document


def basic(credentials: Credentials) -> str:
    pair = f"{credentials.user}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def denied(host: str, *, known: bool, what: str = "") -> RegistryError:
    """The registry does not let this user do this."""
    if known:
        reason = "denied: the user name or password is wrong, or does not allow this"
    else:
        reason = "denied: it wants to know who you are"
    hint = "" if known else f"udockpy login {host}"
    return RegistryError("registry", host, f"{what}: {reason}" if what else reason, hint=hint)
