"""Layers on layers: whiteouts, links across them, and archives made to do harm."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import resource
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from udockpy.errors import ArchiveError
from udockpy.layer.fakedb import Fakedb, key_of
from udockpy.layer.layers import layer_writer
from udockpy.layer.tar_reader import open_layer

DIR, SYM, LNK = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
Entry = tuple[tarfile.TarInfo, bytes]
LIMIT = 1 << 40


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: object
) -> Entry:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(content)
    info.mode = 0o755 if kind == DIR else 0o644
    info.mtime = 1_000_000_000
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar(*entries: Entry) -> bytes:
    output = io.BytesIO()
    with tarfile.open(
        fileobj=output, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8"
    ) as made:
        for info, content in entries:
            made.addfile(info, io.BytesIO(content))
    return output.getvalue()


class Image:
    """A tree that layers are applied to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "rootfs"
        self.root.mkdir(parents=True)
        self.fakedb = os.fspath(folder / "fakedb")

    def apply(self, *layers: bytes, limit: int = LIMIT) -> None:
        with layer_writer(os.fspath(self.root), self.fakedb, limit=limit) as writer:
            for layer in layers:
                plain = gzip.decompress(layer) if layer.startswith(b"\x1f\x8b") else layer
                path = self.folder / "blob"
                path.write_bytes(layer)
                diff_id = f"sha256:{hashlib.sha256(plain).hexdigest()}"
                with open_layer(os.fspath(path), diff_id) as members:
                    writer.apply(members)

    def paths(self) -> set[str]:
        """Every file and every empty directory."""
        found = set()
        for base, folders, names in os.walk(self.root):
            links = [name for name in folders if os.path.islink(os.path.join(base, name))]
            for name in [*names, *links]:
                found.add(os.path.relpath(os.path.join(base, name), self.root))
            if not folders and not names:
                found.add(os.path.relpath(base, self.root) + "/")
        return found

    def record(self, name: str) -> tuple[int, int, int]:
        fd = os.open(self.root, os.O_RDONLY)
        with Fakedb(self.fakedb, read_only=True) as fakedb:
            found = fakedb.get(key_of(name, dir_fd=fd))
        os.close(fd)
        assert found is not None
        return found.uid, found.gid, found.mode

    def xattrs(self, name: str) -> dict[str, bytes]:
        fd = os.open(self.root, os.O_RDONLY)
        with Fakedb(self.fakedb, read_only=True) as fakedb:
            found = fakedb.xattrs(key_of(name, dir_fd=fd))
        os.close(fd)
        return found


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path / "image")


@pytest.fixture(autouse=True)
def nothing_else_changes(tmp_path: Path) -> Iterator[None]:
    """Whatever a layer says, nothing beside its image is touched."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("keep")
    yield
    assert sorted(os.listdir(tmp_path)) == ["image", "outside"]
    assert sorted(os.listdir(tmp_path / "image")) <= ["blob", "fakedb", "rootfs"]
    assert os.listdir(outside) == ["keep"]
    assert (outside / "keep").read_text() == "keep"
    assert stat.S_IMODE((outside / "keep").stat().st_mode) & 0o111 == 0


BASE = tar(
    entry("a", DIR),
    entry("a/b", DIR),
    entry("a/b/c", DIR),
    entry("a/b/c/deep"),
    entry("a/b/file"),
    entry("a/top"),
    entry("link", SYM, linkname="a/b"),
    entry("other"),
)


@pytest.mark.parametrize(
    ("layer", "left"),
    [
        ((entry("a/.wh.top"),), {"a/b/c/deep", "a/b/file", "link", "other"}),
        ((entry(".wh.a"),), {"link", "other"}),
        ((entry("a/b/.wh..wh..opq"),), {"a/b/", "a/top", "link", "other"}),
        ((entry("./a/b/c/.wh.deep"),), {"a/b/c/", "a/b/file", "a/top", "link", "other"}),
        ((entry("link/.wh.file"),), {"a/b/c/deep", "a/top", "link", "other"}),
        # what is not there is not missed
        ((entry(".wh.none"), entry("no/.wh.x"), entry("other/.wh.x")), None),
        # below a regular file of the same layer, as umoci does
        (
            (entry("a/b/c"), entry("a/b/c/.wh.deep")),
            {"a/b/c", "a/b/file", "a/top", "link", "other"},
        ),
        # the layer's own stays, before and after the whiteout
        (
            (entry("a/new"), entry("a/.wh..wh..opq"), entry("a/later")),
            {"a/new", "a/later", "link", "other"},
        ),
        (
            (entry("a/b/c/new"), entry("a/.wh..wh..opq")),
            {"a/b/c/new", "link", "other"},
        ),
        ((entry("link/new"), entry("a/b/.wh..wh..opq")), {"a/b/new", "a/top", "link", "other"}),
        ((entry("a/b/new"), entry(".wh.a")), {"a/b/new", "link", "other"}),
        # AUFS's own
        ((entry(".wh..wh.aufs"), entry(".wh..wh.plnk", DIR), entry(".wh..wh.plnk/1.2")), None),
        # kinds that take each other's place
        ((entry("a", content=b"x"),), {"a", "link", "other"}),
        ((entry("a/b", SYM, linkname="x"), entry("other/x")), {"a/b", "a/top", "link", "other/x"}),
        ((entry("link", DIR),), {"a/b/c/deep", "a/b/file", "a/top", "link/", "other"}),
    ],
)
def test_what_a_second_layer_leaves(
    image: Image, layer: tuple[Entry, ...], left: set[str] | None
) -> None:
    image.apply(BASE, tar(*layer))
    everything = {"a/b/c/deep", "a/b/file", "a/top", "link", "other"}
    assert image.paths() == (everything if left is None else left)


def test_a_whiteout_in_the_first_layer_hides_nothing(image: Image) -> None:
    image.apply(tar(entry("a/x"), entry("a/.wh..wh..opq"), entry(".wh.a")))
    assert image.paths() == {"a/x"}


def test_hard_links_cross_layers(image: Image) -> None:
    image.apply(
        tar(entry("one", content=b"1")),
        tar(entry("two", LNK, linkname="one")),
        tar(entry(".wh.one"), entry("three", LNK, linkname="two")),
    )
    assert image.paths() == {"two", "three"}
    assert (image.root / "two").samefile(image.root / "three")


def test_the_last_word_on_a_directory_counts(image: Image) -> None:
    acl = {"SCHILY.xattr.trusted.x": "1", "SCHILY.xattr.user.y": "1"}
    image.apply(
        tar(entry("d", DIR, mode=0o2750, uid=7, gid=8, pax_headers=acl), entry("d/x")),
        tar(entry("d", DIR, mode=0o711, mtime=1_100_000_000)),
        tar(entry("d/y")),
    )
    assert image.record("d") == (0, 0, 0o711)
    assert image.xattrs("d") == {}
    found = (image.root / "d").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o711, 1_100_000_000)
    assert "user.y" not in os.listxattr(image.root / "d")


def test_a_file_that_comes_again_is_a_new_one(image: Image) -> None:
    image.apply(
        tar(entry("f", mode=0o4755, uid=7), entry("g", LNK, linkname="f")),
        tar(entry("f", content=b"new")),
    )
    assert (image.root / "g").read_bytes() == b""
    assert image.record("g") == (7, 0, 0o4755)
    with pytest.raises(AssertionError):
        image.record("f")


@pytest.mark.parametrize("cut", [1024, 1024 + 505])
def test_a_layer_without_end_mark_or_padding_is_whole(image: Image, cut: int) -> None:
    """As umoci insert makes them."""
    whole = tar(entry("a"), entry("f", content=b"content"))[: 3 * 512 + 1024]
    image.apply(whole[:-cut])
    assert (image.root / "f").read_bytes() == b"content"


def test_an_empty_layer_is_one(image: Image) -> None:
    image.apply(b"", tar(), tar(entry("x")))
    assert image.paths() == {"x"}


def test_times_are_kept_to_the_nanosecond(image: Image) -> None:
    image.apply(tar(entry("f", pax_headers={"mtime": "1700000000.123456789"})))
    assert (image.root / "f").stat().st_mtime_ns == 1_700_000_000_123_456_789


def test_content_that_is_not_what_was_promised_is_refused(image: Image, tmp_path: Path) -> None:
    path = tmp_path / "image/blob"
    path.write_bytes(tar(entry("x")))
    with (
        pytest.raises(ArchiveError, match="not what the image's configuration says"),
        layer_writer(os.fspath(image.root), image.fakedb, limit=LIMIT) as writer,
        open_layer(os.fspath(path), "sha256:" + "0" * 64) as members,
    ):
        writer.apply(members)


@pytest.mark.parametrize(
    "entries",
    [
        (entry("../outside/keep", content=b"evil"),),
        (entry("a/../../../outside/keep", content=b"evil"),),
        (entry(".wh..."),),
        (entry("a/.wh..."),),
        (entry("x/.wh.."),),
        (entry(".wh."),),
        (entry("h", LNK, linkname="../../outside/keep"),),
        (entry("h", LNK, linkname="missing"),),
        (entry("up", SYM, linkname="../../outside"), entry("h", LNK, linkname="up/keep")),
        (entry("loop", SYM, linkname="loop"), entry("loop/x")),
        (entry("x" * 5000),),
        (entry("d/" * 600 + "x"),),
        (entry("x" * 300),),
        (entry("d", uid=-1),),
        (entry("d", uid=1 << 40),),
        (entry("d", pax_headers={"mtime": "inf"}),),
        (entry("d", pax_headers={"mtime": "1e99"}),),
        (entry("d", pax_headers={"SCHILY.xattr.": "x"}),),
        (entry("d", pax_headers={"SCHILY.xattr.user." + "x" * 300: "x"}),),
        (entry("d", pax_headers={"SCHILY.xattr.user.x": "x" * 70_000}),),
        (entry("d", pax_headers={"size": "-5"}),),
        (entry("d", pax_headers={"x": "y" * (2 << 20)}),),
        (entry("", content=b"root"),),
    ],
)
def test_layers_made_to_do_harm_are_refused_by_name(
    image: Image, entries: tuple[Entry, ...]
) -> None:
    with pytest.raises((ArchiveError, OSError)) as caught:
        image.apply(BASE, tar(*entries))
    name = entries[-1][0].name[:20] or "/"
    told = str(caught.value)
    assert name in told or "damaged" in told or os.path.basename(entries[-1][0].linkname) in told


@pytest.mark.parametrize(
    "entries",
    [
        (entry("/outside/keep", content=b"in"),),
        (
            entry("outside", DIR),
            entry("up", SYM, linkname="../../outside"),
            entry("up/keep", content=b"in"),
        ),
        (entry("up", SYM, linkname="../../outside"), entry("up/.wh.keep")),
        (entry("up", SYM, linkname="../../outside"), entry("up/.wh..wh..opq")),
        (entry("up", SYM, linkname="../../outside/keep"), entry("up", content=b"in")),
        (
            entry("proc/self/root/tmp", DIR),
            entry("up", SYM, linkname="/proc/self/root"),
            entry("up/tmp/udockpy-evil", content=b"in"),
        ),
    ],
)
def test_ways_out_lead_back_in(image: Image, entries: tuple[Entry, ...]) -> None:
    """The fixture above looks whether anything got out."""
    image.apply(BASE, tar(*entries))
    assert not os.path.exists("/tmp/udockpy-evil")


def test_links_out_through_which_a_second_layer_writes(image: Image, tmp_path: Path) -> None:
    image.apply(
        tar(
            entry(os.fspath(tmp_path / "outside/x")),
            entry("out", SYM, linkname=os.fspath(tmp_path / "outside")),
        ),
        tar(entry("out/.wh.keep"), entry("out/new", content=b"in")),
        tar(entry("out/.wh..wh..opq"), entry("out", DIR, mode=0o700)),
    )
    assert (image.root / "out").is_dir()
    assert not (image.root / "out").is_symlink()


def zeros(count: int) -> Iterator[bytes]:
    info = tarfile.TarInfo("zeros")
    info.size = count
    yield info.tobuf()
    for _ in range(count >> 20):
        yield bytes(1 << 20)
    yield bytes(1024)


def test_a_bomb_takes_no_memory_and_no_space(image: Image) -> None:
    output = io.BytesIO()
    digest = hashlib.sha256()
    with gzip.GzipFile(fileobj=output, mode="wb", compresslevel=1) as packed:
        for chunk in zeros(1 << 28):
            packed.write(chunk)
            digest.update(chunk)
    path = image.folder / "blob"
    path.write_bytes(output.getvalue())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        layer_writer(os.fspath(image.root), image.fakedb, limit=LIMIT) as writer,
        open_layer(os.fspath(path), f"sha256:{digest.hexdigest()}") as members,
    ):
        writer.apply(members)
    assert (image.root / "zeros").stat().st_blocks < 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_more_than_is_allowed_is_refused_before_it_is_written(image: Image) -> None:
    with pytest.raises(ArchiveError, match="f2: with it, more is unpacked than is allowed"):
        image.apply(
            tar(entry("f1", content=b"x" * 600), entry("f2", content=b"x" * 600)), limit=1000
        )
    assert image.paths() == {"f1"}
