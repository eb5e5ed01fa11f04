"""Credentials are found where docker and podman keep them, kept for nobody else to read, and not
shown."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from udockpy.errors import RegistryError, StateError
from udockpy.registry import credentials
from udockpy.registry.credentials import Credentials

HELPER = """#!/bin/sh
read -r input
echo "$1 $input" >>"$HOME/asked"
case $1:$input in
get:known.org) echo '{"ServerURL":"known.org","Username":"me","Secret":"hush"}' ;;
get:token.org) echo '{"Username":"<token>","Secret":"hush"}' ;;
get:broken.org) echo '{"Username":1}' ;;
get:*) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".docker").mkdir()
    (tmp_path / "bin").mkdir()
    helper = tmp_path / "bin/docker-credential-test"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    return {"HOME": os.fspath(tmp_path), "PATH": f"{tmp_path}/bin:/usr/bin:/bin"}


def auth(user: str = "me", password: str = "s:e") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("h.org:5000", "h.org:5000"),
        ("https://h.org/v1/", "h.org"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("h.org/team", "h.org"),
    ],
)
def test_every_spelling_of_a_registry_is_known(
    environ: dict[str, str], tmp_path: Path, key: str, host: str
) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {key: auth()}})
    assert credentials.find(host, "team/tool", environ) == Credentials("me", "s:e")
    assert credentials.find("other.org", "team/tool", environ) is None


def test_the_longest_namespace_wins(environ: dict[str, str], tmp_path: Path) -> None:
    auths = {"h.org": auth("all"), "h.org/a": auth("a"), "h.org/a/b": auth("b")}
    write(tmp_path / ".docker/config.json", {"auths": auths})
    found = {}
    for repository in ("a/b", "a/b/c", "a/x", "ab/x"):
        who = credentials.find("h.org", repository, environ)
        assert who is not None
        found[repository] = who.user
    assert found == {"a/b": "b", "a/b/c": "b", "a/x": "a", "ab/x": "all"}


def test_podman_s_file_beats_docker_s_and_a_named_one_all(
    environ: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path / ".docker/config.json", {"auths": {"h.org": auth("docker")}})
    write(tmp_path / ".config/containers/auth.json", {"auths": {"h.org": auth("podman")}})
    named = write(tmp_path / "named", {"auths": {"h.org": auth("named")}})
    found = credentials.find("h.org", "x", environ)
    assert found is not None
    assert found.user == "podman"
    environ["REGISTRY_AUTH_FILE"] = os.fspath(named)
    found = credentials.find("h.org", "x", environ)
    assert found is not None
    assert found.user == "named"


def test_identity_tokens_stand_for_a_password(environ: dict[str, str], tmp_path: Path) -> None:
    entry = {"auth": base64.b64encode(b"me:").decode(), "identitytoken": "tok"}
    write(tmp_path / ".docker/config.json", {"auths": {"h.org": entry}})
    assert credentials.find("h.org", "x", environ) == Credentials("me", "", "tok")


def test_credential_helpers_are_asked(environ: dict[str, str], tmp_path: Path) -> None:
    config = {"credHelpers": {"known.org": "test"}, "auths": {"other.org": auth()}}
    write(tmp_path / ".docker/config.json", config)
    assert credentials.find("known.org", "x", environ) == Credentials("me", "hush")
    assert credentials.find("other.org", "x", environ) == Credentials("me", "s:e")
    write(tmp_path / ".docker/config.json", {"credsStore": "test"})
    assert credentials.find("token.org", "x", environ) == Credentials("", "", "hush")
    assert credentials.find("unknown.org", "x", environ) is None
    credentials.store("known.org", Credentials("me", "new"), environ)
    assert credentials.erase("known.org", environ)
    asked = (tmp_path / "asked").read_text()
    assert 'store {"ServerURL": "known.org", "Username": "me", "Secret": "new"}' in asked
    assert "erase known.org" in asked


@pytest.mark.parametrize("name", ["../../tmp/x", "missing"])
def test_a_helper_is_a_program_of_that_name(
    environ: dict[str, str], tmp_path: Path, name: str
) -> None:
    write(tmp_path / ".docker/config.json", {"credsStore": name})
    if "/" in name:
        assert credentials.find("h.org", "x", environ) is None
    else:
        with pytest.raises(RegistryError, match="docker-credential-missing: No such file"):
            credentials.find("h.org", "x", environ)


def test_the_answer_of_a_helper_is_checked(environ: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / ".docker/config.json", {"credsStore": "test"})
    with pytest.raises(RegistryError, match="malformed"):
        credentials.find("broken.org", "x", environ)


def test_what_is_kept_is_for_nobody_else(environ: dict[str, str], tmp_path: Path) -> None:
    path = write(tmp_path / ".docker/config.json", {"auths": {"h.org": {}}, "other": [1]})
    path.chmod(0o644)
    assert credentials.store("h.org", Credentials("me", "pw"), environ) == os.fspath(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"auths": {"h.org": auth("me", "pw")}, "other": [1]}
    assert credentials.erase("h.org", environ)
    assert json.loads(path.read_text()) == {"auths": {}, "other": [1]}
    assert not credentials.erase("h.org", environ)


def test_what_is_kept_is_found_by_docker_s_name(environ: dict[str, str]) -> None:
    path = credentials.store("docker.io", Credentials("me", "pw"), environ)
    assert list(json.loads(Path(path).read_text())["auths"]) == ["https://index.docker.io/v1/"]
    assert credentials.find("docker.io", "x", environ) == Credentials("me", "pw")


def test_a_damaged_file_is_told_without_its_content(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / ".docker/config.json").write_text('{"auths": secret')
    with pytest.raises(StateError) as caught:
        credentials.find("h.org", "x", environ)
    assert "not JSON" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_credentials_are_not_shown() -> None:
    assert "pw" not in repr(Credentials("me", "pw", "tok"))
    assert "tok" not in f"{Credentials('me', 'pw', 'tok')}"


@pytest.mark.parametrize("text", ["", "%%%", "bWU=", "/w==", "OnB3"])
def test_an_auth_field_that_is_none(text: str) -> None:
    assert credentials.decode(text) is None
