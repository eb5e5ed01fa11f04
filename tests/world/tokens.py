"""A token server for docker-registry: tokens.py FOLDER HOST:PORT. Anybody may pull; only the tester
may push, and only with the right password. GET, and POST as OAuth2 has it.
"""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

FOLDER, ADDRESS = Path(sys.argv[1]), sys.argv[2]
USER, PASSWORD, IDENTITY = "tester", "s3cret", "identity-of-tester"
CERTIFICATE = "".join(
    line for line in (FOLDER / "token.crt").read_text().splitlines() if "-----" not in line
)


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(message: bytes) -> bytes:
    """ES256: openssl's DER sequence of two integers as two numbers of 32 bytes."""
    der = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", FOLDER / "token.key"],
        input=message,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    at, numbers = 2, b""
    for _ in range(2):
        length = der[at + 1]
        numbers += der[at + 2 : at + 2 + length].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + length
    return numbers


def token(user: str, scopes: list[str]) -> str:
    access = []
    for scope in " ".join(scopes).split():
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        allowed = [action for action in actions.split(",") if user or action == "pull"]
        access.append({"type": kind, "name": name, "actions": allowed})
    now = int(time.time())
    header = {"typ": "JWT", "alg": "ES256", "x5c": [CERTIFICATE]}
    claims = {
        "iss": "tokens",
        "sub": user,
        "aud": "registry",
        "exp": now + 300,
        "nbf": now - 5,
        "iat": now,
        "jti": uuid.uuid4().hex,
        "access": access,
    }
    message = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{message}.{encode(sign(message.encode()))}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        user = ""
        header = self.headers.get("Authorization", "")
        if header.startswith("Basic "):
            user, _, password = base64.b64decode(header[6:]).decode().partition(":")
            if (user, password) != (USER, PASSWORD):
                self.answer(401, {})
                return
        self.answer(200, {"token": token(user, query.get("scope", [])), "expires_in": 300})

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        given = {key: values[0] for key, values in form.items()}
        known = given.get("refresh_token") == IDENTITY or (
            (given.get("username"), given.get("password")) == (USER, PASSWORD)
        )
        if known:
            scopes = [given.get("scope", "")]
            self.answer(200, {"access_token": token(USER, scopes), "expires_in": 300})
        else:
            self.answer(401, {})

    def answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def main() -> None:
    host, _, port = ADDRESS.partition(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(FOLDER / "server.crt", FOLDER / "server.key")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


main()
