"""Manifests, indexes, configurations and the choice of a platform."""

from __future__ import annotations

import json
from typing import Any

import pytest

from udockpy.errors import ImageError, UsageError
from udockpy.oci import digest as digests
from udockpy.oci import image, media
from udockpy.oci import platform as platforms
from udockpy.oci.image import Descriptor, Index, Manifest
from udockpy.oci.platform import Platform

SHA = "sha256:" + "ab" * 32


def descriptor(kind: str = media.OCI_CONFIG, **fields: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": SHA, "size": 7, **fields}


def manifest(**fields: Any) -> bytes:
    document = {
        "schemaVersion": 2,
        "config": descriptor(),
        "layers": [descriptor(f"{media.OCI_LAYER}+gzip")],
        **fields,
    }
    return json.dumps(document).encode()


@pytest.mark.parametrize("kind", [media.OCI_MANIFEST, media.DOCKER_MANIFEST, ""])
def test_a_manifest_is_read_whoever_made_it(kind: str) -> None:
    found = image.manifest(manifest(), kind, "x")
    assert isinstance(found, Manifest)
    assert found.config == Descriptor(media.OCI_CONFIG, SHA, 7)
    assert [layer.digest for layer in found.layers] == [SHA]


def test_the_type_in_the_document_counts() -> None:
    content = json.dumps(
        {"schemaVersion": 2, "mediaType": media.DOCKER_LIST, "manifests": [descriptor()]}
    ).encode()
    assert isinstance(image.manifest(content, media.OCI_MANIFEST, "x"), Index)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b'{"a":' * 200_000, "not JSON"),
        (b"[]", "an object is missing"),
        (b"{}", "schemaVersion is not 2"),
        (b" " * (image.MAX_DOCUMENT + 1), "too large"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "schema 1"),
        (b'{"schemaVersion": 2}', "unknown media type"),
        (manifest(layers=None), "layers is no list"),
        (manifest(layers=[1]), "an object is missing"),
        (manifest(layers=[descriptor("text/html")]), "layers of type text/html"),
        (manifest(layers=[descriptor(media.OCI_LAYER)] * 1001), "more than 1000 layers"),
        (manifest(config=descriptor(size=-1)), "bad size"),
        (manifest(config=descriptor(size=True)), "bad size"),
        (manifest(config=descriptor(size=1 << 60)), "bad size"),
        (manifest(config=descriptor(digest="sha256:../../x")), "bad digest"),
        (manifest(config=descriptor("application/vnd.oci.empty.v1+json")), "artifact"),
        (manifest(config=descriptor(annotations={"a": 1})), "annotations is no map"),
    ],
)
def test_what_is_no_manifest_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        image.manifest(content, "", "x")


def test_a_configuration_says_how_to_run() -> None:
    found = image.config(
        json.dumps(
            {
                "os": "linux",
                "architecture": "arm64",
                "variant": "v8",
                "config": {"Env": ["A=1"], "Cmd": ["sh"], "Entrypoint": None, "User": "1:2"},
                "rootfs": {"type": "layers", "diff_ids": [SHA]},
            }
        ).encode(),
        "x",
    )
    assert found.platform == Platform("linux", "arm64", "v8")
    assert (found.env, found.cmd, found.entrypoint, found.user) == (("A=1",), ("sh",), (), "1:2")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"rootfs": {"diff_ids": ["x"]}},
        {"rootfs": {"diff_ids": [1]}},
        {"rootfs": {"diff_ids": []}, "config": {"Env": "A"}},
        {"rootfs": {"diff_ids": []}, "config": {"User": "a\0b"}},
        {"rootfs": {"diff_ids": []}, "os": 3},
    ],
)
def test_a_configuration_that_is_none_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ImageError):
        image.config(json.dumps(document).encode(), "x")


def test_chain_ids_are_the_specification_s() -> None:
    one, two = digests.of(b"1"), digests.of(b"2")
    assert image.chain_id((one,)) == one
    assert image.chain_id((one, two)) == digests.of(f"{one} {two}".encode())


def offered(*names: str) -> list[Descriptor]:
    return [
        Descriptor(media.OCI_MANIFEST, digests.of(name.encode()), 1, platforms.parse(name))
        for name in names
    ]


@pytest.mark.parametrize(
    ("wanted", "there", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], "linux/amd64"),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v3", "linux/amd64/v4"], "linux/amd64/v3"),
        ("linux/arm64", ["linux/arm64/v8"], "linux/arm64/v8"),
        ("linux/arm64/v8", ["linux/arm64"], "linux/arm64"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm64"], "linux/arm/v6"),
    ],
)
def test_the_best_platform_is_chosen(wanted: str, there: list[str], chosen: str) -> None:
    found = platforms.choose(offered(*there), platforms.parse(wanted), "x")
    assert str(found.platform) == chosen


def test_a_platform_that_is_missing_is_told_with_what_is_there() -> None:
    there = offered("linux/arm64/v8", "unknown/unknown", "windows/amd64")
    with pytest.raises(ImageError, match="linux/amd64 is wanted") as caught:
        platforms.choose(there, Platform("linux", "amd64"), "x")
    assert "there is linux/arm64/v8, windows/amd64" in str(caught.value)


@pytest.mark.parametrize("text", ["", "linux", "linux/", "a/b/c/d", "linux/amd 64"])
def test_platforms_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="bad platform"):
        platforms.parse(text)
