"""What is read from strangers, mutated at random: layers, manifests, configurations, references.
Whatever is wrong with them is told as an error of ours, and nothing gets out of its place.
UDOCKPY_TEST_FUZZ says how many of each are tried.
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from udockpy.errors import ArchiveError, ImageError, UsageError
from udockpy.layer.layers import layer_writer
from udockpy.layer.tar_reader import open_layer
from udockpy.oci import image, media
from udockpy.oci import reference as references

COUNT = int(os.environ.get("UDOCKPY_TEST_FUZZ", "300"))
BLOCK = tarfile.BLOCKSIZE
LIMIT = 1 << 24
ODD_FIELDS = (b"\0" * 12, b"\xff" * 12, b"777777777777", b"-1\0", b"\x80" + b"\xff" * 11, b"9" * 12)
FIELDS = (
    (0, 100),
    (100, 8),
    (108, 8),
    (116, 8),
    (124, 12),
    (136, 12),
    (156, 1),
    (157, 100),
    (329, 8),
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1 << 80, 1.5, float("inf"), "", "\0", "x" * 5000, "../..", [], {}),
    *([None], {"": None}, [[]], {"digest": 1}, "sha256:" + "g" * 64, {"a": {"b": []}}),
)


def system(folder: Path) -> Path:
    """Files of every kind that an ordinary user can make."""
    root = folder / "root"
    (root / "d/e").mkdir(parents=True)
    (root / "d/file").write_bytes(b"content" * 100)
    os.link(root / "d/file", root / "d/e/hard")
    (root / "d/link").symlink_to("file")
    os.mkfifo(root / "fifo")
    (root / ("long" * 50)).write_bytes(b"x")
    os.setxattr(root / "d/file", "user.note", b"\xff\0note")
    with (root / "sparse").open("wb") as file:
        for place in range(0, 2 << 20, 1 << 18):
            file.seek(place)
            file.write(b"data")
        file.truncate(3 << 20)
    return root


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The same files in every format that GNU tar writes."""
    root = system(tmp_path_factory.mktemp("fuzz"))
    formats = (
        ("--format=pax", "--xattrs", "--sparse", "--sparse-version=0.0"),
        ("--format=pax", "--xattrs", "--sparse", "--sparse-version=0.1"),
        ("--format=pax", "--xattrs", "--sparse", "--sparse-version=1.0"),
        ("--format=gnu", "--sparse"),
        ("--format=ustar", "--exclude=long*"),
    )
    return [
        subprocess.run(
            ["tar", "-C", root, *words, "-cf", "-", "."], check=True, capture_output=True
        ).stdout
        for words in formats
    ]


def headers(content: bytes) -> list[int]:
    """Where what looks like a header begins."""
    return [at for at in range(0, len(content), BLOCK) if content[at + 257 : at + 262] == b"ustar"]


def mutated(content: bytes, choice: random.Random) -> bytes:
    made = bytearray(content)
    places = headers(content)
    for _ in range(choice.randrange(1, 4)):
        at = choice.choice(places)
        what = choice.randrange(6)
        if what == 0:
            place, length = choice.choice(FIELDS)
            odd = choice.choice(ODD_FIELDS)[:length]
            made[at + place : at + place + len(odd)] = odd
        elif what == 1:
            made[at + choice.randrange(BLOCK)] = choice.randrange(256)
        elif what == 2:  # what follows: a PAX header, a sparse map, a content
            made[at + BLOCK + choice.randrange(BLOCK)] ^= 1 << choice.randrange(8)
        elif what == 3:
            names = (
                b"../outside/keep",
                b"/",
                b"d/link/x",
                b".wh..",
                b"d/.wh..wh..opq",
                b"\xff\xfe",
            )
            name = choice.choice(names)
            made[at : at + 100] = name.ljust(100, b"\0")
        elif what == 4:
            made[at + 156 : at + 157] = choice.choice(
                [b"0", b"1", b"2", b"3", b"5", b"S", b"x", b"L", b"?"]
            )
        else:
            digits = bytes(choice.choice(b"0123456789 =\n-") for _ in range(6))
            start = at + BLOCK + choice.randrange(200)
            made[start : start + 6] = digits
        _sign(made, at)
    return bytes(made[: choice.randrange(len(made))] if choice.random() < 0.1 else made)


def _sign(made: bytearray, at: int) -> None:
    """Makes the checksum of a header right, so that it is believed."""
    made[at + 148 : at + 156] = b" " * 8
    made[at + 148 : at + 156] = b"%06o\0 " % sum(made[at : at + BLOCK])


def apply(folder: Path, content: bytes) -> None:
    root = folder / "rootfs"
    root.mkdir()
    blob = folder / "blob"
    blob.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    with layer_writer(os.fspath(root), os.fspath(folder / "fakedb"), limit=LIMIT) as writer:
        for _ in range(2):  # on nothing, and on itself
            with open_layer(os.fspath(blob), f"sha256:{digest}") as members:
                writer.apply(members)


def remove(folder: Path) -> None:
    for base, names, _ in os.walk(folder):
        for name in names:
            if not os.path.islink(os.path.join(base, name)):
                os.chmod(os.path.join(base, name), 0o700)
    shutil.rmtree(folder)


def test_layers(archives: list[bytes], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("keep")
    refused = 0
    for seed in range(COUNT):
        choice = random.Random(seed)
        folder = tmp_path / "image"
        folder.mkdir()
        content = mutated(choice.choice(archives), choice)
        try:
            apply(folder, content)
        except (ArchiveError, OSError):
            refused += 1
        except Exception as e:
            raise AssertionError(f"seed {seed}") from e
        assert sorted(os.listdir(tmp_path)) == ["image", "outside"], seed
        assert (outside / "keep").read_text() == "keep", seed
        remove(folder)
    assert COUNT // 10 < refused < COUNT, "the mutations are not well chosen"


def test_compressed_layers(archives: list[bytes], tmp_path: Path) -> None:
    packed = gzip.compress(archives[0])
    for seed in range(COUNT // 5):
        choice = random.Random(seed)
        made = bytearray(packed)
        made[choice.randrange(len(made))] ^= 1 << choice.randrange(8)
        folder = tmp_path / "image"
        folder.mkdir()
        try:
            apply(folder, bytes(made[: choice.randrange(len(made))] if seed % 3 == 0 else made))
        except (ArchiveError, OSError):
            pass
        except Exception as e:
            raise AssertionError(f"seed {seed}") from e
        remove(folder)


DESCRIPTOR = {
    "mediaType": media.OCI_LAYER,
    "digest": "sha256:" + "a" * 64,
    "size": 5,
    "platform": {"os": "linux", "architecture": "arm", "variant": "v7"},
    "annotations": {"a": "b"},
}
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": media.OCI_MANIFEST,
    "config": {**DESCRIPTOR, "mediaType": media.OCI_CONFIG},
    "layers": [DESCRIPTOR, DESCRIPTOR],
}
INDEX = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [DESCRIPTOR]}
CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "config": {
        "Env": ["A=b"],
        "Cmd": ["x"],
        "Entrypoint": ["y"],
        "User": "u",
        "Labels": {"a": "b"},
        "Volumes": {"/v": {}},
        "StopSignal": "SIGINT",
        "WorkingDir": "/w",
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "b" * 64]},
    "history": [{"created": "c", "created_by": "d", "empty_layer": True}],
}


def disturbed(document: Any, choice: random.Random) -> Any:
    """The document with some value in it replaced or gone."""
    made = copy.deepcopy(document)
    at, parent, key = made, None, None
    while isinstance(at, (dict, list)) and at and (parent is None or choice.random() < 0.8):
        parent = at
        key = choice.choice(list(at)) if isinstance(at, dict) else choice.randrange(len(at))
        at = at[key]
    assert parent is not None
    if choice.random() < 0.2:
        del parent[key]
    else:
        parent[key] = choice.choice(ODD_VALUES)
    return made


def test_manifests_and_configurations() -> None:
    refused = 0
    for seed in range(COUNT * 10):
        choice = random.Random(seed)
        document = choice.choice((MANIFEST, INDEX, CONFIG))
        made = disturbed(document, choice)
        content = json.dumps(made).encode()
        try:
            if document is CONFIG:
                image.config(content, "x")
                image.history(json.loads(content), "x")
            else:
                image.manifest(content, media.OCI_MANIFEST, "x")
        except ImageError:
            refused += 1
        except Exception as e:
            raise AssertionError(f"seed {seed}: {made}") from e
    assert refused > COUNT


@pytest.mark.parametrize(
    "number", [b"9" * 5000, b"-" + b"1" * 4_000_000, b"1e999999999", b"1" * 30]
)
def test_numbers_that_take_long_to_read(number: bytes) -> None:
    content = json.dumps(MANIFEST).encode().replace(b'"size": 5', b'"size": ' + number)
    with pytest.raises(ImageError):
        image.manifest(content, media.OCI_MANIFEST, "x")


def test_references() -> None:
    parts = ("docker://", "oci:", "dir:", "host", ":5000", "/", "a", "B", "_", "..", "@sha256:")
    parts += ("f" * 64, "[::1]", " ", "\0", "\n", "é", "-", ":", "tag", "x" * 300, "%2f", "\udcff")
    understood = 0
    for seed in range(COUNT * 20):
        choice = random.Random(seed)
        word = "".join(choice.choice(parts) for _ in range(choice.randrange(6)))
        try:
            found = references.parse(word)
        except UsageError:
            continue
        except Exception as e:
            raise AssertionError(repr(word)) from e
        understood += 1
        if isinstance(found, references.Remote):
            assert references.parse(found.name) == found, word
            assert not set(" \0\n\udcff").intersection(found.name), word
    assert understood > COUNT


# --- what is large without being wrong ---

MANY = """
import hashlib, os, resource, sys, tarfile
from udockpy.layer.layers import layer_writer
from udockpy.layer.tar_reader import open_layer
folder, count = sys.argv[1], int(sys.argv[2])
path = os.path.join(folder, "blob")
with tarfile.open(path, "w") as tar:
    for number in range(count):
        entry = tarfile.TarInfo(f"{number // 1000}/{number}")
        entry.type = tarfile.SYMTYPE if number % 50 else tarfile.DIRTYPE
        entry.linkname = "x"
        tar.addfile(entry)
        tar.members = []
digest = hashlib.sha256(open(path, "rb").read()).hexdigest()
root = os.path.join(folder, "root")
os.mkdir(root)
with layer_writer(root, os.path.join(folder, "fakedb"), limit=1 << 30) as writer:
    with open_layer(path, f"sha256:{digest}") as members:
        writer.apply(members)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_million_entries_take_bounded_memory(tmp_path: Path) -> None:
    """Measured at ten and thirty thousand, and carried on."""
    used = {}
    for count in (10_000, 30_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        words = [sys.executable, "-c", MANY, folder, str(count)]
        done = subprocess.run(words, cwd=folder, check=True, stdout=subprocess.PIPE)
        used[count] = int(done.stdout)
        shutil.rmtree(folder)
    growth = max(used[30_000] - used[10_000], 0) / 20_000
    assert used[10_000] + growth * 990_000 < 200 << 10  # kB


def test_a_member_that_says_it_is_endless_ends(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("endless")
    entry.size = 1 << 60
    content = entry.tobuf(tarfile.GNU_FORMAT) + bytes(BLOCK)
    path = tmp_path / "blob"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    with pytest.raises(ArchiveError, match="it ends within a member"):
        sizes_of(path, f"sha256:{digest}")


def sizes_of(path: Path, digest: str) -> list[int]:
    """Goes over the members of a layer, and reads none."""
    with open_layer(os.fspath(path), digest) as members:
        return [member.size for member in members]


def test_names_that_differ_in_case_and_names_that_come_again(tmp_path: Path) -> None:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for name, content in (("a", b"1"), ("A", b"2"), ("a", b"3"), ("./a", b"4"), ("A", b"5")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    apply(tmp_path, output.getvalue())
    found = {path.name: path.read_bytes() for path in (tmp_path / "rootfs").iterdir()}
    assert found == {"a": b"4", "A": b"5"}


def test_set_id_files_of_others_are_nobody_s(tmp_path: Path) -> None:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for number, mode in enumerate((0o4755, 0o2755, 0o6777, 0o7000)):
            entry = tarfile.TarInfo(str(number))
            entry.mode, entry.uid, entry.gid = mode, 1234, 5678
            tar.addfile(entry)
    apply(tmp_path, output.getvalue())
    for path in (tmp_path / "rootfs").iterdir():
        found = path.lstat()
        assert (found.st_uid, found.st_gid) == (os.getuid(), os.getgid())
        assert not found.st_mode & (stat.S_ISUID | stat.S_ISGID)
