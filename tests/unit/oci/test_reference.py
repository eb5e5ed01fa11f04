"""What users write for an image, and what they are told when they mistype."""

from __future__ import annotations

import pytest

from udockpy.errors import UsageError
from udockpy.oci.reference import Local, Remote, parse, parse_host

SHA = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("debian", Remote("docker.io", "library/debian", "latest")),
        ("docker://debian:12", Remote("docker.io", "library/debian", "12")),
        ("docker.io/debian", Remote("docker.io", "library/debian", "latest")),
        ("index.docker.io/team/tool", Remote("docker.io", "team/tool", "latest")),
        ("team/tool:1.0-rc_2", Remote("docker.io", "team/tool", "1.0-rc_2")),
        ("localhost/tool", Remote("localhost", "tool", "latest")),
        ("host:5000/tool", Remote("host:5000", "tool", "latest")),
        ("host:5000/a/b__c/d-e.f:T", Remote("host:5000", "a/b__c/d-e.f", "T")),
        ("HOST/tool", Remote("HOST", "tool", "latest")),
        ("[::1]:5000/tool:x", Remote("[::1]:5000", "tool", "x")),
        (f"debian@{SHA}", Remote("docker.io", "library/debian", "", SHA)),
        (f"h.org:1/r/p:t@{SHA}", Remote("h.org:1", "r/p", "t", SHA)),
        ("debian:5000", Remote("docker.io", "library/debian", "5000")),
        ("oci:some/dir", Local("oci", "some/dir")),
        ("oci:/dir:tag", Local("oci", "/dir", "tag")),
        ("oci:/dir:host.org/team/tool:1", Local("oci", "/dir", "host.org/team/tool:1")),
        ("oci-archive:a.tar:x", Local("oci-archive", "a.tar", "x")),
        ("docker-archive:a.tar:tool:1", Local("docker-archive", "a.tar", "tool:1")),
        ("dir:/odd:name", Local("dir", "/odd:name")),
    ],
)
def test_references_are_spelled_out(word: str, wanted: Remote | Local) -> None:
    assert parse(word) == wanted


@pytest.mark.parametrize("word", ["debian", f"h.org:1/r/p:t@{SHA}", f"debian@{SHA}", "[::1]:5/x"])
def test_the_full_name_names_the_same(word: str) -> None:
    reference = parse(word)
    assert parse(reference.name) == reference


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("", "no repository"),
        ("docker://", "no repository"),
        ("host:5000/", 'no repository (understood: host "host:5000")'),
        ("Debian", 'the part "Debian"'),
        ("team/Tool", 'the part "Tool"'),
        ("a//b", 'the part ""'),
        ("team/../etc", 'the part ".."'),
        ("-rf", 'the part "-rf"'),
        ("tool:", "the tag is malformed"),
        ("tool:a b", "the tag is malformed"),
        ("tool:" + "x" * 129, "the tag is malformed"),
        ("h:x/tool", 'the host is malformed (understood: host "h:x", repository "tool")'),
        ("a..b/tool", "the host is malformed"),
        ("tool@sha256:123", "the digest is malformed"),
        (f"tool@{SHA.upper()}", "the digest is malformed"),
        ("tool@md5:0123", "the digest is malformed"),
        ("tool\n", 'the part "tool\n"'),
        ("x" * 256, "more than 255 characters"),
        ("ftp://host/tool", 'understood "ftp" as the transport, which is unknown'),
        ("oci:", "no path"),
        ("oci::tag", "no path"),
        ("dir:", "no path"),
        ("oci:a\0b", "null byte"),
    ],
)
def test_mistakes_are_told_with_what_was_understood(word: str, reason: str) -> None:
    with pytest.raises(UsageError, match="bad reference") as caught:
        parse(word)
    assert reason in str(caught.value)


def test_registries_are_hosts() -> None:
    assert parse_host("https://host.org:5000/") == "host.org:5000"
    assert parse_host("index.docker.io") == "docker.io"
    for word in ("", "host/path", "a b", "https://user@host"):
        with pytest.raises(UsageError, match="bad registry"):
            parse_host(word)
