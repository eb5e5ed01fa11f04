"""registries.conf decides where an image is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from udockpy.errors import RegistryError, UsageError
from udockpy.oci.reference import parse_remote
from udockpy.registry.mirrors import Endpoint, endpoints

CONF = """
unqualified-search-registries = ["evil.org"]

[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "near:5000/hub"
insecure = true
[[registry.mirror]]
location = "far.org"
pull-from-mirror = "digest-only"

[[registry]]
prefix = "docker.io/team"
location = "team.org/images"

[[registry]]
prefix = "*.lab.org"
insecure = true
location = "lab.org"

[[registry]]
prefix = "bad.org"
blocked = true
"""
SHA = "sha256:" + "0" * 64


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "registries.conf"
    path.write_text(CONF)
    return {"HOME": os.fspath(tmp_path), "CONTAINERS_REGISTRIES_CONF": os.fspath(path)}


@pytest.mark.parametrize(
    ("word", "places"),
    [
        ("h.org/x", [("h.org", "x", False)]),
        (
            "debian",
            [("near:5000", "hub/library/debian", True), ("docker.io", "library/debian", False)],
        ),
        (
            f"debian@{SHA}",
            [
                ("near:5000", "hub/library/debian", True),
                ("far.org", "library/debian", False),
                ("docker.io", "library/debian", False),
            ],
        ),
        ("team/tool", [("team.org", "images/tool", False)]),
        (
            "teams/tool",
            [("near:5000", "hub/teams/tool", True), ("docker.io", "teams/tool", False)],
        ),
        ("a.lab.org:5000/x/y", [("lab.org", "x/y", True)]),
        ("lab.org/x", [("lab.org", "x", False)]),
    ],
)
def test_where_an_image_is_asked_for(
    environ: dict[str, str], word: str, places: list[tuple[str, str, bool]]
) -> None:
    assert endpoints(parse_remote(word), environ) == [Endpoint(*place) for place in places]


def test_a_blocked_registry_is_not_asked(environ: dict[str, str]) -> None:
    with pytest.raises(RegistryError, match=r"bad\.org is blocked by registries\.conf"):
        endpoints(parse_remote("bad.org/x"), environ)


def test_a_user_s_own_file_and_its_additions(environ: dict[str, str], tmp_path: Path) -> None:
    del environ["CONTAINERS_REGISTRIES_CONF"]
    folder = tmp_path / ".config/containers"
    (folder / "registries.conf.d").mkdir(parents=True)
    (folder / "registries.conf").write_text(CONF)
    (folder / "registries.conf.d/x.conf").write_text('[[registry]]\nprefix = "bad.org"\n')
    assert endpoints(parse_remote("bad.org/x"), environ) == [Endpoint("bad.org", "x", False)]
    assert len(endpoints(parse_remote("debian"), environ)) == 2


def test_a_malformed_file_is_told(environ: dict[str, str]) -> None:
    Path(environ["CONTAINERS_REGISTRIES_CONF"]).write_text("[[registry")
    with pytest.raises(UsageError, match="cannot read the configuration"):
        endpoints(parse_remote("debian"), environ)
