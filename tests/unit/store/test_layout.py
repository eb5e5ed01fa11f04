"""The layout of pulled images: what comes in is whole, what goes takes nothing else along."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from udockpy.errors import ImageError
from udockpy.home import Home
from udockpy.oci import digest as digests
from udockpy.oci import media
from udockpy.oci.image import REF_NAME, Descriptor
from udockpy.oci.platform import Platform
from udockpy.store import blobs, garbage, images
from udockpy.util import lock

CONTENT = b"content of a layer" * 1000
BLOB = Descriptor(media.OCI_LAYER, digests.of(CONTENT), len(CONTENT))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(os.fspath(tmp_path / "home"))
    images.layout(made).make()
    return made


def bring(home: Home, content: bytes, blob: Descriptor = BLOB) -> bool:
    layout = images.layout(home)
    with blobs.incoming(home, layout, blob) as sink:
        if sink is None:
            return False
        sink.write(content[sink.offset :])
        sink.finish(layout.blob(blob.digest), "x")
    return True


def add(home: Home, name: str, *layers: bytes) -> images.Image:
    """An image of blobs, with an empty tree."""
    layout = images.layout(home)
    chain = digests.of(b"".join(layers))
    parts = []
    for content, kind in (
        (json.dumps({"rootfs": {"diff_ids": []}, "name": name}).encode(), media.OCI_CONFIG),
        *((layer, media.OCI_LAYER) for layer in layers),
    ):
        blob = Descriptor(kind, digests.of(content), len(content))
        bring(home, content, blob)
        parts.append(blob.document())
    document = {"schemaVersion": 2, "config": parts[0], "layers": parts[1:]}
    manifest = json.dumps(document).encode()
    layout.put(manifest, digests.of(manifest))
    os.makedirs(images.tree_folder(home, chain), exist_ok=True)
    notes = ((REF_NAME, name), (images.CHAIN, chain))
    platform = Platform("linux", "amd64")
    entry = Descriptor(media.OCI_MANIFEST, digests.of(manifest), len(manifest), platform, notes)
    return images.enter(home, entry)


def remove(home: Home, name: str) -> None:
    images.remove(home, name)
    garbage.collect(home)


def test_a_blob_comes_once(home: Home) -> None:
    assert bring(home, CONTENT)
    assert not bring(home, CONTENT)
    assert Path(images.layout(home).blob(BLOB.digest)).read_bytes() == CONTENT
    assert os.listdir(home.downloads) == []


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"x", b"X" + CONTENT[1:]])
def test_a_blob_that_is_another_stays_out(home: Home, content: bytes) -> None:
    with pytest.raises(ImageError, match="what came is not the blob"):
        bring(home, content)
    assert not images.layout(home).has(BLOB.digest)
    assert os.listdir(home.downloads) == []


def test_what_was_cut_off_is_taken_up(home: Home) -> None:
    layout = images.layout(home)
    with blobs.incoming(home, layout, BLOB) as sink:
        assert sink is not None
        sink.write(CONTENT[:500])
    with blobs.incoming(home, layout, BLOB) as sink:
        assert sink is not None
        assert sink.offset == 500
    assert bring(home, CONTENT)


def test_who_waits_for_a_blob_finds_it(home: Home) -> None:
    layout = images.layout(home)
    results: list[bool] = []
    with blobs.incoming(home, layout, BLOB) as sink:
        assert sink is not None
        waiting = threading.Thread(target=lambda: results.append(bring(home, CONTENT)))
        waiting.start()
        time.sleep(0.1)
        assert results == []
        sink.write(CONTENT)
        sink.finish(layout.blob(BLOB.digest), "x")
    waiting.join(10)
    assert results == [False]


def test_an_image_takes_the_place_of_its_predecessor(home: Home) -> None:
    add(home, "docker.io/library/a:1", b"old")
    new = add(home, "docker.io/library/a:1", b"new")
    assert images.listing(home) == [new]
    for spelling in ("a:1", "docker://a:1", "docker.io/library/a:1"):
        assert images.find(home, spelling) == new
    for other in ("a", "a:2", "b:1", "A:1"):
        assert images.find(home, other) is None


def test_what_others_need_stays(home: Home) -> None:
    one = add(home, "docker.io/library/one:1", b"shared", b"own")
    two = add(home, "docker.io/library/two:1", b"shared")
    remove(home, "one:1")
    layout = images.layout(home)
    assert layout.has(digests.of(b"shared"))
    assert not layout.has(digests.of(b"own"))
    assert (os.path.isdir(one.folder), os.path.isdir(two.folder)) == (False, True)
    remove(home, "two:1")
    assert layout.digests() == set()
    assert os.listdir(home.trees) == []


def test_what_a_kill_left_goes(home: Home) -> None:
    add(home, "docker.io/library/a:1", b"layer")
    layout = images.layout(home)
    left = [
        Path(layout.path, ".index.json.1-ab"),
        Path(layout.path, "blobs/sha256/.scratch"),
        Path(home.trees, ".tree.1-ab"),
    ]
    for path in left:
        path.write_text("half") if path.parent != Path(home.trees) else path.mkdir()
    garbage.collect(home)
    assert [path for path in left if path.exists()] == []
    assert images.find(home, "a:1") is not None


def test_nothing_goes_while_something_comes(home: Home) -> None:
    add(home, "docker.io/library/a:1", b"layer")
    with lock.shared(images.lock_file(home, "store")):
        remove(home, "a:1")
        assert images.layout(home).has(digests.of(b"layer"))
    garbage.collect(home)
    assert images.layout(home).digests() == set()


def test_a_damaged_manifest_is_told(home: Home) -> None:
    image = add(home, "docker.io/library/a:1", b"layer")
    assert image.entry is not None
    Path(images.layout(home).blob(image.entry.digest)).write_text("{}")
    with pytest.raises(ImageError, match="is damaged") as caught:
        images.layout(home).manifest(image.entry)
    assert caught.value.hint == "pull it again"
