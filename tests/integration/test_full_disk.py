"""A disk that is full, at many places: the command says so, the store stays sound, and with more
room the same command succeeds. The disk is a small tmpfs in a user namespace of the test's own.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from command import Udockpy
from support.product import text
from support.world import missing
from test_kills import left_over
from trees import pull
from zoo import Zoo

UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")
# $0 is the place of the state, $1 the room that there is, the rest is the command; then it gets
# more room.
SCRIPT = """
set -e
mount -t tmpfs -o size=32m tmpfs "$0"
room=$1; shift
[ -z "$PREPARE" ] || sh -c "$PREPARE" >&2
fallocate -l $(($(stat -f -c '%a * %S' "$0") - room)) "$0/filler"
status=0; "$@" >&2 || status=$?
rm "$0/filler"
$UDOCKPY verify --no-mend --json || exit 99
"$@" >&2
$UDOCKPY gc >&2
$UDOCKPY verify --json >&2
$UDOCKPY gc --json
find "$0" -name '.*' -not -path "$0" -not -path '*/rootfs/*'
exit $status
"""


@pytest.fixture(scope="session")
def namespaces() -> None:
    words = [*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        missing(f"no tmpfs of the test's own: {done.stderr.decode().strip()}")


def squeezed(
    udockpy: Udockpy, room: int, *words: str | Path, prepare: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """Runs a command with so many bytes free, then with enough; it must succeed then."""
    udockpy.home.mkdir(exist_ok=True)
    command = " ".join(udockpy.words())
    environ = {**udockpy.environ, "PREPARE": prepare, "UDOCKPY": command}
    every = udockpy.words(*words)
    return subprocess.run(
        [*UNSHARE, "sh", "-c", SCRIPT, udockpy.home, str(room), *every],
        cwd=udockpy.cwd,
        env=environ,
        capture_output=True,
        check=False,
        timeout=60,
    )


def check(done: subprocess.CompletedProcess[bytes]) -> None:
    """It was refused for want of room, and there was nothing wrong and nothing left."""
    assert done.returncode == 125, text(done)
    assert b"No space left on device" in done.stderr, text(done)
    assert b"Traceback" not in done.stderr, text(done)
    verdicts, garbage = documents(done.stdout.decode())
    assert [verdict for verdict in verdicts if verdict["problem"]] == []
    assert garbage == []


def documents(output: str) -> list[list[dict[str, str]]]:
    """The JSON documents of an output in which there is nothing else."""
    decoder, found = json.JSONDecoder(), []
    while output := output.strip():
        document, end = decoder.raw_decode(output)
        found.append(document)
        output = output[end:]
    return found


@pytest.mark.parametrize("room", [64_000, 400_000, 700_000, 1_200_000])
def test_a_pull(udockpy: Udockpy, zoo: Zoo, namespaces: None, room: int) -> None:
    udockpy.environ["UDOCKPY_INSECURE_REGISTRIES"] = zoo.registries.http
    check(squeezed(udockpy, room, "pull", zoo.reference("opaque:gz")))


@pytest.mark.parametrize(
    "words", [("create", "zoo:1"), ("tag", "zoo:1", "two:1"), ("commit", "work", "made:1")]
)
def test_commands_on_an_image(
    udockpy: Udockpy, zoo: Zoo, namespaces: None, words: tuple[str, ...]
) -> None:
    command = " ".join(udockpy.words())
    prepare = f"{command} pull -q oci:{zoo.layout}:opaque zoo:1"
    prepare += f" && {command} create --name work zoo:1 && {command} cp {zoo.layout} work:/etc"
    room = {"create": 1_000_000, "tag": 0, "commit": 500_000}[words[0]]
    check(squeezed(udockpy, room, *words, prepare=prepare))


def test_an_import(udockpy: Udockpy, box: Path, namespaces: None) -> None:
    check(squeezed(udockpy, 800_000, "import", box, "small"))


def test_what_is_left_over_is_found(udockpy: Udockpy, zoo: Zoo) -> None:
    """The test of these tests, and of those that kill."""
    pull(udockpy, f"oci:{zoo.layout}:opaque", "zoo:1")
    assert list(left_over(udockpy.home)) == []
    for name in ("trees/.half", "images/blobs/sha256/.half", "downloads/half"):
        path = udockpy.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    assert len(list(left_over(udockpy.home))) == 3
