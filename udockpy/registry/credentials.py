"""Credentials, in the places where docker and podman keep them. Never shown: they have no repr.

Read, first find wins: $REGISTRY_AUTH_FILE alone, or $XDG_RUNTIME_DIR/containers/auth.json,
~/.config/containers/auth.json, $DOCKER_CONFIG/config.json or ~/.docker/config.json; in each of them
first its credential helpers. Written to the file that knows the registry already, else to the first
of these whose place exists.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import re
from typing import Any, NamedTuple

from udockpy import home as homes
from udockpy.errors import RegistryError, StateError, reason_of
from udockpy.oci.reference import DEFAULT_HOST
from udockpy.util import atomic, lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCKER_KEY = "https://index.docker.io/v1/"  # what docker calls docker.io in its files
TOKEN_USER = "<token>"  # the user name that stands for an identity token in a helper
HELPER = re.compile(r"[A-Za-z0-9._-]+")
HELPER_SECONDS = 30


class Credentials(NamedTuple):
    """A name with a password, or an identity token that stands for both."""

    user: str = ""
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return "Credentials(...)"  # they end up in no traceback and no log


def files(environ: Mapping[str, str]) -> list[str]:
    """Where credentials may be, the most important first."""
    named = environ.get("REGISTRY_AUTH_FILE")
    if named:
        return [named]
    home = homes.user_home(environ)
    runtime = environ.get("XDG_RUNTIME_DIR")
    config = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    docker = environ.get("DOCKER_CONFIG") or os.path.join(home, ".docker")
    return [
        *([os.path.join(runtime, "containers", "auth.json")] if runtime else []),
        os.path.join(config, "containers", "auth.json"),
        os.path.join(docker, "config.json"),
    ]


def find(host: str, repository: str, environ: Mapping[str, str]) -> Credentials | None:
    """Who the user is in that registry; the longest namespace that matches wins."""
    for path in files(environ):
        document = _read(path)
        found = _from_helper(document, host, environ) or _from_file(document, host, repository)
        if found:
            return found
    return None


def store(host: str, credentials: Credentials, environ: Mapping[str, str]) -> str:
    """Keeps credentials, and returns where."""
    path = _place(host, environ)
    document = _read(path)
    helper = _helper_of(document, host)
    if helper:
        secret = {
            "ServerURL": _key(host),
            "Username": credentials.user,
            "Secret": credentials.password,
        }
        _ask_helper(helper, "store", json.dumps(secret), environ)
        return f"docker-credential-{helper}"
    pair = f"{credentials.user}:{credentials.password}".encode()
    with _changed(path) as document:
        _forget(document, host)
        auths = document.setdefault("auths", {})
        auths[_key(host)] = {"auth": base64.b64encode(pair).decode()}
    return path


def erase(host: str, environ: Mapping[str, str]) -> bool:
    """Forgets all credentials of a registry; whether there were any."""
    erased = False
    for path in files(environ):
        document = _read(path)
        helper = _helper_of(document, host)
        if helper and _from_helper(document, host, environ):
            _ask_helper(helper, "erase", _key(host), environ)
            erased = True
        if _forget(document, host):
            with _changed(path) as document:
                erased |= _forget(document, host)
    return erased


def decode(auth: str) -> Credentials | None:
    """The value of an `auth` field: base64 of USER:PASSWORD."""
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return Credentials(user, password.rstrip("\0")) if colon and user else None


def _key(host: str) -> str:
    return DOCKER_KEY if host == DEFAULT_HOST else host


def _normal(key: str) -> str:
    """What a key of a file means: old ones are URLs."""
    if key == DOCKER_KEY:
        return DEFAULT_HOST
    key = re.sub(r"^https?://", "", key)
    key = re.sub(r"/v[12]/?$", "", key).rstrip("/")
    return re.sub(r"^(?:index|registry-1)\.docker\.io(?=/|$)", DEFAULT_HOST, key)


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read() or b"{}")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as e:
        raise StateError("cannot read the credentials", path, reason_of(e)) from e
    except (ValueError, RecursionError) as e:
        # The text of the error could show a part of the file.
        raise StateError("cannot read the credentials", path, "not JSON") from e
    return document if isinstance(document, dict) else {}


def _object(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _from_file(document: Mapping[str, Any], host: str, repository: str) -> Credentials | None:
    entries = {_normal(key): value for key, value in _object(document, "auths").items()}
    name = f"{host}/{repository}".rstrip("/")
    while name:
        entry = entries.get(name)
        found = _entry(entry) if isinstance(entry, dict) else None
        if found:
            return found
        name = name.rpartition("/")[0]
    return None


def _entry(entry: Mapping[str, Any]) -> Credentials | None:
    found = decode(entry["auth"]) if isinstance(entry.get("auth"), str) else None
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Credentials(found.user if found else "", "", token)
    return found


def _helper_of(document: Mapping[str, Any], host: str) -> str:
    """The credential helper in charge of a registry."""
    named = {_normal(key): name for key, name in _object(document, "credHelpers").items()}
    helper = named.get(host) or document.get("credsStore") or ""
    # A helper is a program that is searched in PATH: the name must not be one elsewhere.
    return helper if isinstance(helper, str) and HELPER.fullmatch(helper) else ""


def _from_helper(
    document: Mapping[str, Any], host: str, environ: Mapping[str, str]
) -> Credentials | None:
    helper = _helper_of(document, host)
    answer = _ask_helper(helper, "get", _key(host), environ) if helper else None
    if answer is None:
        return None
    try:
        found = json.loads(answer)
        user, secret = found["Username"], found["Secret"]
    except (ValueError, KeyError, TypeError):
        raise _helper_failed(helper, host, "its answer is malformed") from None
    if not isinstance(user, str) or not isinstance(secret, str):
        raise _helper_failed(helper, host, "its answer is malformed")
    return Credentials("", "", secret) if user == TOKEN_USER else Credentials(user, secret)


def _ask_helper(helper: str, verb: str, words: str, environ: Mapping[str, str]) -> str | None:
    """Runs a credential helper; None when it knows nothing."""
    import subprocess

    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, verb],
            input=words.encode(),
            env=dict(environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=HELPER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        reason = reason_of(e) if isinstance(e, OSError) else f"no answer in {HELPER_SECONDS} s"
        raise _helper_failed(helper, "", reason) from None
    answer = done.stdout.decode(errors="replace")
    if done.returncode == 0:
        return answer
    if verb == "get" and "not found" in answer:
        return None
    # What a helper prints when it fails is a message, not a secret; but do not bet on it.
    raise _helper_failed(helper, "", f"it failed with status {done.returncode}")


def _helper_failed(helper: str, host: str, reason: str) -> RegistryError:
    subject = f"docker-credential-{helper}" + (f" for {host}" if host else "")
    hint = "remove credsStore and credHelpers from the configuration if the helper is not there"
    return RegistryError("cannot ask the credential helper", subject, reason, hint=hint)


def _place(host: str, environ: Mapping[str, str]) -> str:
    """Where to write: beside what is known of the registry, else where podman would."""
    candidates = files(environ)
    for path in candidates:
        document = _read(path)
        keys = {_normal(key) for key in _object(document, "auths")}
        if host in keys or _helper_of(document, host):
            return path
    for path in candidates:
        # $XDG_RUNTIME_DIR may name a directory that this node does not have.
        if os.path.isdir(os.path.dirname(os.path.dirname(path))):
            return path
    return candidates[-1]


def _forget(document: dict[str, Any], host: str) -> bool:
    auths = _object(document, "auths")
    keys = [key for key in auths if _normal(key) == host]
    for key in keys:
        del auths[key]
    return bool(keys)


@contextlib.contextmanager
def _changed(path: str) -> Iterator[dict[str, Any]]:
    """Yields what a file holds, and replaces it by what the block makes of that."""
    path = os.path.realpath(path)  # a link to a dotfiles repository stays a link
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with lock.exclusive(f"{path}.lock"):
            document = _read(path)
            yield document
            atomic.write(path, json.dumps(document, indent="\t").encode() + b"\n", mode=0o600)
    except OSError as e:
        raise StateError("cannot keep the credentials", path, reason_of(e)) from e
