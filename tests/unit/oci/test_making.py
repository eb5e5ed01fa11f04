"""Configurations and manifests made here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from udockpy.errors import UsageError
from udockpy.oci import image, making, media
from udockpy.oci.image import Descriptor, Manifest
from udockpy.oci.platform import Platform

DIFF_ID = "sha256:" + "a" * 64
EMPTY = making.empty(Platform("linux", "arm64", "v8"))
BELOW = {
    **EMPTY,
    "config": {"Env": ["A=1", "B=2"], "Cmd": ["old"], "WorkingDir": "/srv", "Labels": {"x": "y"}},
}


def config(*instructions: str) -> dict[str, Any]:
    return dict(making.changed(BELOW, instructions)["config"])


@pytest.mark.parametrize(
    ("instruction", "key", "wanted"),
    [
        ("ENV A=3 C='x y'", "Env", ["A=3", "B=2", "C=x y"]),
        ("env C some words", "Env", ["A=1", "B=2", "C=some words"]),
        ("ENV A=a=b", "Env", ["A=a=b", "B=2"]),
        ('CMD ["sh", "-c", "date"]', "Cmd", ["sh", "-c", "date"]),
        ("CMD date -u", "Cmd", ["/bin/sh", "-c", "date -u"]),
        ("WORKDIR /opt/tool/", "WorkingDir", "/opt/tool"),
        ("WORKDIR sub/../other", "WorkingDir", "/srv/other"),
        ("USER www:33", "User", "www:33"),
        ('LABEL a="b c" d=e', "Labels", {"x": "y", "a": "b c", "d": "e"}),
        ("EXPOSE 80 53/udp", "ExposedPorts", {"80/tcp": {}, "53/udp": {}}),
        ("VOLUME /a /b", "Volumes", {"/a": {}, "/b": {}}),
        ('VOLUME ["/with space"]', "Volumes", {"/with space": {}}),
        ("STOPSIGNAL SIGQUIT", "StopSignal", "SIGQUIT"),
    ],
)
def test_instructions(instruction: str, key: str, wanted: object) -> None:
    assert config(instruction) == {**BELOW["config"], key: wanted}


def test_an_entrypoint_ends_the_command_below_but_not_its_own() -> None:
    changed = config('ENTRYPOINT ["tool"]')
    assert (changed["Entrypoint"], "Cmd" in changed) == (["tool"], False)
    assert config('CMD ["x"]', 'ENTRYPOINT ["tool"]')["Cmd"] == ["x"]
    assert config('ENTRYPOINT ["tool"]', 'CMD ["x"]')["Cmd"] == ["x"]


def test_what_was_below_stays_as_it_was() -> None:
    before = json.dumps(BELOW)
    making.changed(BELOW, ["ENV A=3", "LABEL a=b", "VOLUME /x", "EXPOSE 1"])
    making.stacked(BELOW, making.Step(0, "test"), DIFF_ID)
    assert json.dumps(BELOW) == before


@pytest.mark.parametrize(
    ("instruction", "said"),
    [
        ("", "not understood"),
        ("RUN true", "not understood"),
        ("CMD", "not understood"),
        ("ENV A", "write NAME=VALUE"),
        ("ENV A=1 B", "write NAME=VALUE"),
        ("ENV A='1", "No closing quotation"),
        ('CMD ["a", 1]', "not a JSON list"),
        ("CMD [", "not a JSON list"),
    ],
)
def test_mistakes_are_told(instruction: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        config(instruction)


def test_what_is_made_can_be_read() -> None:
    step = making.Step(86400, "udockpy commit", "why", "me")
    document = making.stacked(EMPTY, step, DIFF_ID)
    document = making.stacked(document, making.Step(86401, "nothing"))
    read = image.config(making.encoded(document), "test")
    assert (read.platform, read.diff_ids) == (Platform("linux", "arm64", "v8"), (DIFF_ID,))
    assert document["created"] == "1970-01-02T00:00:01Z"
    assert document["history"] == [
        {
            "created": "1970-01-02T00:00:00Z",
            "created_by": "udockpy commit",
            "author": "me",
            "comment": "why",
        },
        {"created": "1970-01-02T00:00:01Z", "created_by": "nothing", "empty_layer": True},
    ]


def test_manifests_speak_the_words_of_the_oci() -> None:
    docker = Descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", DIFF_ID, 5)
    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    oci = f"{media.OCI_LAYER}+zstd"
    about = Descriptor(media.OCI_CONFIG, DIFF_ID, 7)
    layers = (docker, docker._replace(media_type=foreign), docker._replace(media_type=oci))
    read = image.manifest(making.manifest(about, layers), "", "test")
    assert isinstance(read, Manifest)
    assert [layer.media_type for layer in read.layers] == [
        f"{media.OCI_LAYER}+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        oci,
    ]
