"""A real registry on loopback, in four flavours: docker-registry of the Debian package, as an
ordinary user, with its storage in a folder of the test run.

`http` plain HTTP, `tls` TLS with an authority of its own, `basic` that and HTTP Basic, `token` that
and bearer tokens from the server in tokens.py. The user is `tester`, his password `s3cret`.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

USER, PASSWORD = "tester", "s3cret"
FLAVOURS = ("http", "tls", "basic", "token")
PROGRAMS = {
    "docker-registry": "docker-registry",
    "skopeo": "skopeo",
    "umoci": "umoci",
    "openssl": "openssl",
    "htpasswd": "apache2-utils",
}
SECONDS = 20


class Registries:
    """The four registries; they share one storage, so what one has all have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificates = folder / "certs"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.hosts = {flavour: f"127.0.0.1:{free_port()}" for flavour in FLAVOURS}
        self.token_server = f"127.0.0.1:{free_port()}"

    @property
    def http(self) -> str:
        return self.hosts["http"]

    def start(self) -> None:
        self.certificates.mkdir(parents=True)
        self._make_certificates()
        for flavour, host in self.hosts.items():
            path = self.folder / f"{flavour}.yml"
            path.write_text(self._configuration(flavour, host))
            self._start(flavour, "docker-registry", "serve", path)
        tokens = Path(__file__).with_name("tokens.py")
        self._start("tokens", sys.executable, tokens, self.folder, self.token_server)
        for flavour, host in self.hosts.items():
            self._wait(f"{'http' if flavour == 'http' else 'https'}://{host}/v2/")
        self._wait(f"https://{self.token_server}/token")

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def blob(self, digest: str) -> Path:
        """The registry's file of a blob."""
        algorithm, _, value = digest.partition(":")
        base = self.folder / "data/docker/registry/v2/blobs"
        return base / algorithm / value[:2] / value / "data"

    def _start(self, name: str, *words: str | Path) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(
                    [*map(str, words)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            )

    def _wait(self, url: str) -> None:
        trust = ssl.create_default_context(cafile=str(self.certificates / "ca.crt"))
        end = time.monotonic() + SECONDS
        while True:
            try:
                urllib.request.urlopen(url, timeout=SECONDS, context=trust).close()
                return
            except urllib.error.HTTPError as e:
                e.close()
                return  # it wants to know who asks, but it is there
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def _make_certificates(self) -> None:
        ca, key, server = (
            self.certificates / "ca.crt",
            self.folder / "ca.key",
            self.folder / "server",
        )
        new = ["openssl", "req", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        itself = ["-x509", "-days", "2"]
        use = "keyUsage=critical,keyCertSign,cRLSign"
        run(*new, *itself, "-subj", "/CN=test CA", "-keyout", key, "-out", ca, "-addext", use)
        request, names = self.folder / "server.csr", self.folder / "names"
        run(*new, "-subj", "/CN=localhost", "-keyout", f"{server}.key", "-out", request)
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        signing = ["openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", key]
        serial = ["-set_serial", "2", "-days", "2"]
        run(*signing, *serial, "-extfile", names, "-out", f"{server}.crt")
        token, subject = self.folder / "token", ["-subj", "/CN=token"]
        run(*new, *itself, *subject, "-keyout", f"{token}.key", "-out", f"{token}.crt")
        (self.folder / "htpasswd").write_bytes(run("htpasswd", "-Bbn", USER, PASSWORD))

    def _configuration(self, flavour: str, host: str) -> str:
        base = self.folder
        lines = [
            "version: 0.1",
            "log: {level: warn, accesslog: {disabled: true}}",
            f"storage: {{filesystem: {{rootdirectory: {base}/data}}, delete: {{enabled: true}}}}",
            "http:",
            f"  addr: {host}",
        ]
        if flavour != "http":
            lines.append(f"  tls: {{certificate: {base}/server.crt, key: {base}/server.key}}")
        if flavour == "basic":
            lines.append(f"auth: {{htpasswd: {{realm: test, path: {base}/htpasswd}}}}")
        if flavour == "token":
            realm = f'"https://{self.token_server}/token"'
            lines.append(
                f"auth: {{token: {{realm: {realm}, service: registry, issuer: tokens, "
                f"rootcertbundle: {base}/token.crt}}}}"
            )
        return "\n".join(lines) + "\n"


def run(*words: str | Path) -> bytes:
    """Runs a program that must succeed, and returns its output."""
    every = [str(word) for word in words]
    done = subprocess.run(every, capture_output=True, check=False, timeout=SECONDS * 3)
    assert done.returncode == 0, f"{every}: {done.stderr.decode()}"
    return done.stdout


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def instead_of_docker_io(path: Path, host: str) -> str:
    """Writes a registries.conf that sends who asks docker.io to a registry without TLS; returns its
    path.
    """
    table = f'prefix = "docker.io"\nlocation = "{host}"\ninsecure = true\n'
    path.write_text(f"[[registry]]\n{table}")
    return str(path)
