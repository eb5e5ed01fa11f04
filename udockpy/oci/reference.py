"""References: how users name images, in a registry or in a file.

A registry's: `debian`, `library/debian:12`, `host:5000/team/tool:1.0@sha256:...`, with or without
`docker://`. A file's: `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REFERENCE]`,
`dir:DIR`.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Union

from udockpy.errors import UsageError
from udockpy.oci import digest as digests

DEFAULT_HOST = "docker.io"
DEFAULT_TAG = "latest"
REGISTRY = "docker"
OCI, OCI_ARCHIVE, DOCKER_ARCHIVE, DIR = "oci", "oci-archive", "docker-archive", "dir"
LOCAL = (OCI, OCI_ARCHIVE, DOCKER_ARCHIVE, DIR)
ALIASES = {"index.docker.io": DEFAULT_HOST, "registry-1.docker.io": DEFAULT_HOST}

LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
HOST = re.compile(rf"(?:{LABEL}(?:\.{LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?")
COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
MAX_NAME = 255
EXAMPLE = "write it as [docker://][HOST[:PORT]/]NAME[:TAG][@sha256:...]"


class Remote(NamedTuple):
    """An image in a registry, spelled out: no part is left to be guessed."""

    host: str  # with its port, if it has one
    repository: str
    tag: str = ""  # empty where a digest alone says which
    digest: str = ""

    @property
    def name(self) -> str:
        """The one full spelling; the name that the image gets in the store."""
        return f"{self.host}/{self.repository}{self.suffix}"

    @property
    def suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def version(self) -> str:
        """What to ask the registry for: a digest says more than a tag."""
        return self.digest or self.tag


class Local(NamedTuple):
    """An image in a file or directory of the host."""

    transport: str
    path: str
    tag: str = ""  # which one, where the file holds several

    @property
    def name(self) -> str:
        return f"{self.transport}:{self.path}" + (f":{self.tag}" if self.tag else "")


Reference = Union[Remote, Local]


def parse(word: str) -> Reference:
    """What `word` names, or a UsageError that says how it was understood."""
    transport, colon, rest = word.partition(":")
    if colon and transport in LOCAL:
        return _local(word, transport, rest)
    if word.startswith(f"{REGISTRY}://"):
        return parse_remote(word[len(REGISTRY) + 3 :])
    if "://" in word:
        reason = f'understood "{transport}" as the transport, which is unknown'
        known = ", ".join(("docker://", *(f"{name}:" for name in LOCAL)))
        raise UsageError("bad reference", word, reason, hint=f"the transports are {known}")
    return parse_remote(word)


def parse_remote(word: str) -> Remote:
    """As parse(), without transports."""
    rest, at, digest = word.partition("@")
    first, slash, remainder = rest.partition("/")
    if slash and _is_host(first):
        host, path = first, remainder
    else:
        host, path = DEFAULT_HOST, rest
    repository, colon, tag = path.partition(":")
    understood = _understood(host, repository, tag, digest)
    if (colon and not TAG.fullmatch(tag)) or (at and not digests.valid(digest)):
        part = "tag" if colon and not TAG.fullmatch(tag) else "digest"
        raise _bad(word, f"the {part} is malformed", understood)
    if not HOST.fullmatch(host):
        raise _bad(word, "the host is malformed", understood)
    _check_repository(word, repository, understood)
    host = ALIASES.get(host, host)
    if host == DEFAULT_HOST and "/" not in repository:
        repository = f"library/{repository}"
    return Remote(host, repository, tag or ("" if digest else DEFAULT_TAG), digest)


def parse_host(word: str) -> str:
    """The registry that `login` and `logout` are told."""
    host = word.partition("://")[2] if word.startswith(("http://", "https://")) else word
    host = host.rstrip("/")
    if not HOST.fullmatch(host):
        reason = f'understood "{host}" as the host, which is malformed'
        raise UsageError("bad registry", word or "(empty)", reason, hint="write HOST[:PORT]")
    return ALIASES.get(host, host)


def _is_host(word: str) -> bool:
    """Docker's rule: what cannot be a repository's first part, or is localhost."""
    return word == "localhost" or any(mark in word for mark in ".:[") or word != word.lower()


def _check_repository(word: str, repository: str, understood: str) -> None:
    if not repository:
        raise _bad(word or "(empty)", "there is no repository", understood)
    if len(repository) > MAX_NAME:
        raise _bad(word, f"the repository has more than {MAX_NAME} characters", understood)
    for part in repository.split("/"):
        if not COMPONENT.fullmatch(part):
            reason = (
                "of a repository may have lower case letters and digits, and between them . _ -"
            )
            raise _bad(word, f'the part "{part}" {reason}', understood)


def _understood(host: str, repository: str, tag: str, digest: str) -> str:
    parts = (("host", host), ("repository", repository), ("tag", tag), ("digest", digest))
    return ", ".join(f'{what} "{value}"' for what, value in parts if value)


def _bad(word: str, reason: str, understood: str) -> UsageError:
    return UsageError("bad reference", word, f"{reason} (understood: {understood})", hint=EXAMPLE)


def _local(word: str, transport: str, rest: str) -> Local:
    path, tag = (rest, "") if transport == DIR else _split_path(rest)
    if not path:
        hint = f"write it as {transport}:PATH" + ("" if transport == DIR else "[:TAG]")
        raise UsageError("bad reference", word, "there is no path after the transport", hint=hint)
    if "\0" in word:
        raise UsageError("bad reference", word.replace("\0", "\\0"), "it contains a null byte")
    return Local(transport, path, tag)


def _split_path(rest: str) -> tuple[str, str]:
    """As skopeo and umoci: what follows the first colon is the name of the image."""
    path, _, tag = rest.partition(":")
    return path, tag
