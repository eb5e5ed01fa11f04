"""Archives become trees and trees archives, as an ordinary user, and nothing is lost or let out."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Callable

import pytest

from udockpy.errors import ArchiveError, TargetError
from udockpy.layer.fakedb import MODE, NODE, OWNER, Fakedb, key_of
from udockpy.layer.tar_writer import write_tar
from udockpy.layer.tree_reader import TreeReader
from udockpy.operations import trees
from udockpy.store.tree import Tree

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: object
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(content)
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    info.mtime = 1_000_000_000
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def archive(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return path


SYSTEM = (
    entry(".", tarfile.DIRTYPE),
    entry("./etc", tarfile.DIRTYPE),
    entry("./etc/passwd", content=b"root:x:0:0::/:/bin/sh\n"),
    entry("./etc/shadow", content=b"secret", mode=0o640, gid=42),
    entry("./etc/alias", tarfile.LNKTYPE, linkname="./etc/shadow"),
    entry("./bin", tarfile.SYMTYPE, linkname="usr/bin", mode=0o777),
    entry("./usr/bin/su", content=b"su", mode=0o4755),
    entry(
        "./usr/bin/ping",
        content=b"p",
        mode=0o755,
        pax_headers={
            "SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape")
        },
    ),
    entry("./usr/bin/locked", content=b"l", mode=0o111, uid=7, gid=8),
    entry("./closed", tarfile.DIRTYPE, mode=0o000, uid=1234, gid=5678),
    entry("./closed/in", content=b"in"),
    entry("./tmp", tarfile.DIRTYPE, mode=0o1777),
    entry("./dev/null", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3),
    entry("./dev/sda", tarfile.BLKTYPE, mode=0o660, gid=6, devmajor=8, devminor=0),
    entry("./run/fifo", tarfile.FIFOTYPE, mode=0o622),
    entry("./sp ace\nnewline\udcff", content=b"odd"),
    entry("./" + "long/" * 60 + "name", content=b"deep"),
)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    return archive(tmp_path / "system.tar", *SYSTEM)


def unpack(source: Path | str, target: Path) -> Tree:
    target.mkdir()
    tree = Tree(os.fspath(target / "rootfs"), os.fspath(target / "fakedb"))
    trees.unpack(os.fspath(source), tree)
    return tree


def pack(tree: Tree) -> bytes:
    output = io.BytesIO()
    with Fakedb(tree.fakedb, read_only=True) as fakedb:
        write_tar(TreeReader(tree.rootfs, fakedb).members(), output)
    return output.getvalue()


def listing(data: bytes) -> dict[str, tuple[object, ...]]:
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8") as tar:
        return {
            info.name.lstrip("./"): (
                "file" if info.isreg() or info.islnk() else info.type,
                info.mode,
                info.uid,
                info.gid,
                info.devmajor if info.isdev() else 0,
                info.devminor if info.isdev() else 0,
                info.linkname if info.issym() else "",
                info.pax_headers.get("SCHILY.xattr.security.capability"),
            )
            for info in tar
            if not info.islnk()
        }


def test_what_goes_in_comes_out(system: Path, tmp_path: Path) -> None:
    found = listing(pack(unpack(system, tmp_path / "t")))
    wanted = listing(system.read_bytes())
    # Both names of one file come out; which of them is the link depends on their order.
    found["etc/shadow"] = found.pop("etc/alias", found.get("etc/shadow"))
    assert {name: found.get(name) for name in wanted} == wanted
    implied = {
        "usr",
        "usr/bin",
        "dev",
        "run",
        *("/".join(["long"] * count) for count in range(1, 61)),
    }
    assert set(found) - set(wanted) == implied


def test_contents_links_and_times_are_real(system: Path, tmp_path: Path) -> None:
    root = Path(unpack(system, tmp_path / "t").rootfs)
    assert (root / "etc/passwd").read_bytes().startswith(b"root:")
    assert (root / "etc/shadow").samefile(root / "etc/alias")
    assert os.readlink(root / "bin") == "usr/bin"
    assert stat.S_ISFIFO((root / "run/fifo").stat().st_mode)
    for name in ("etc", "etc/passwd", "closed", "tmp"):
        assert (root / name).stat().st_mtime == 1_000_000_000


def test_real_modes_keep_the_owner_in_and_carry_no_set_id_bits(
    system: Path, tmp_path: Path
) -> None:
    root = Path(unpack(system, tmp_path / "t").rootfs)
    modes = {
        name: stat.S_IMODE(os.lstat(root / name).st_mode)
        for name in ("usr/bin/su", "usr/bin/locked", "closed", "tmp", "dev/null")
    }
    assert modes == {
        "usr/bin/su": 0o755,
        "usr/bin/locked": 0o711,
        "closed": 0o700,
        "tmp": 0o777,
        "dev/null": 0o600,
    }
    shutil.rmtree(root)


def test_only_what_differs_is_remembered(system: Path, tmp_path: Path) -> None:
    tree = unpack(system, tmp_path / "t")
    fd = os.open(tree.rootfs, os.O_RDONLY)
    try:
        with Fakedb(tree.fakedb, read_only=True) as fakedb:
            assert fakedb.get(key_of("etc/passwd", dir_fd=fd)) is None
            assert fakedb.get(key_of("bin", dir_fd=fd)) is None
            su = fakedb.get(key_of("usr/bin/su", dir_fd=fd))
            null = fakedb.get(key_of("dev/null", dir_fd=fd))
            assert fakedb.xattrs(key_of("usr/bin/ping", dir_fd=fd)) == {
                "security.capability": CAPABILITY
            }
            assert fakedb.verify() == 0
    finally:
        os.close(fd)
    assert su is not None
    assert (su.has, su.mode & 0o7777) == (MODE, 0o4755)
    assert null is not None
    assert null.has == OWNER | MODE | NODE
    assert (stat.S_ISCHR(null.mode), null.rdev) == (True, (1, 3))


def test_a_copy_of_a_tree_is_the_same_tree(system: Path, tmp_path: Path) -> None:
    first = unpack(system, tmp_path / "one")
    (tmp_path / "two").mkdir()
    second = Tree(os.fspath(tmp_path / "two/rootfs"), os.fspath(tmp_path / "two/fakedb"))
    trees.copy(first, second)
    assert listing(pack(second)) == listing(pack(first))


def test_a_directory_is_imported_with_its_links_and_holes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    (source / "d/file").write_text("x")
    os.link(source / "d/file", source / "hard")
    (source / "soft").symlink_to("/outside")
    with (source / "sparse").open("wb") as file:
        file.truncate(1 << 30)
        file.seek(1 << 29)
        file.write(b"middle")
    root = Path(unpack(source, tmp_path / "t").rootfs)
    assert (root / "hard").samefile(root / "d/file")
    assert os.readlink(root / "soft") == "/outside"
    assert (root / "sparse").stat().st_size == 1 << 30
    assert (root / "sparse").stat().st_blocks < 1000
    with (root / "sparse").open("rb") as file:
        file.seek(1 << 29)
        assert file.read(7) == b"middle\0"


def zstd(data: bytes) -> bytes:
    if shutil.which("zstd") is None:
        pytest.skip("zstd: not found (apt-get install zstd)")
    return subprocess.run(["zstd", "-q"], input=data, stdout=subprocess.PIPE, check=True).stdout


COMPRESSIONS = [bytes, gzip.compress, bz2.compress, lzma.compress, zstd]


@pytest.mark.parametrize("compress", COMPRESSIONS, ids=["plain", "gzip", "bzip2", "xz", "zstd"])
def test_every_compression_is_read(
    system: Path, tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "packed").write_bytes(compress(system.read_bytes()))
    root = Path(unpack(tmp_path / "packed", tmp_path / "t").rootfs)
    assert (root / "etc/shadow").read_bytes() == b"secret"


@pytest.mark.parametrize("compress", COMPRESSIONS, ids=["plain", "gzip", "bzip2", "xz", "zstd"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.8])
def test_a_cut_archive_is_refused(
    system: Path, tmp_path: Path, compress: Callable[[bytes], bytes], part: float
) -> None:
    data = system.read_bytes().rstrip(b"\0")  # tarfile fills up a whole record
    whole = compress(data + bytes(-len(data) % 512 + 1024))
    (tmp_path / "packed").write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ArchiveError, match="cannot read the archive"):
        unpack(tmp_path / "packed", tmp_path / "t")


def test_an_archive_without_an_end_mark_is_refused(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.tar", entry("a", content=bytes(512)), entry("b", content=bytes(512))
    )
    data = path.read_bytes()
    for end in (1024, 2048):
        path.write_bytes(data[:end])
        with pytest.raises(ArchiveError, match="no end mark"):
            unpack(path, tmp_path / f"t{end}")


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", entry("a", content=bytes(512)), entry("b"))
    data = bytearray(path.read_bytes())
    data[1024 + 20] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(path, tmp_path / "t")


@pytest.mark.parametrize(
    "content", [b"", b"hello\n", bytes(100_000)], ids=["nothing", "text", "no members"]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ArchiveError):
        unpack(tmp_path / "file", tmp_path / "t")


def test_a_missing_archive_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="No such file"):
        unpack(tmp_path / "none", tmp_path / "t")


def test_an_empty_directory_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TargetError, match="empty"):
        unpack(tmp_path / "empty", tmp_path / "t")


@pytest.mark.parametrize("name", ["../out", "a/../../out", "a/../b", ".."])
def test_names_with_dots_are_refused(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "a.tar", entry(name, content=b"x"))
    with pytest.raises(ArchiveError, match="leaves the destination"):
        unpack(path, tmp_path / "t")


def test_a_leading_slash_is_dropped(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", entry("/a/b", content=b"x"))
    assert Path(unpack(path, tmp_path / "t").rootfs, "a/b").read_bytes() == b"x"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    (path / "file").write_text("host")
    return path


def contents(outside: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in outside.iterdir()}


@pytest.mark.parametrize(
    "target", ["{outside}", "../../outside", "../../../../../../../..{outside}"]
)
def test_links_out_of_the_tree_lead_back_into_it(
    tmp_path: Path, outside: Path, target: str
) -> None:
    link = target.format(outside=outside)
    path = archive(
        tmp_path / "a.tar",
        entry("link", tarfile.SYMTYPE, linkname=link),
        entry(os.fspath(outside), tarfile.DIRTYPE),
        entry("outside", tarfile.DIRTYPE),
        entry("link/file", content=b"guest"),
        entry("link/new", content=b"guest"),
    )
    root = Path(unpack(path, tmp_path / "t").rootfs)
    assert contents(outside) == {"file": "host"}
    inside = root / "outside" if link.startswith("../../outside") else Path(f"{root}{outside}")
    assert (inside / "file").read_bytes() == b"guest"


def test_a_link_that_leads_nowhere_is_no_directory(tmp_path: Path, outside: Path) -> None:
    path = archive(
        tmp_path / "a.tar",
        entry("link", tarfile.SYMTYPE, linkname=os.fspath(outside)),
        entry("link/new", content=b"guest"),
    )
    with pytest.raises(ArchiveError, match="leads nowhere"):
        unpack(path, tmp_path / "t")
    assert contents(outside) == {"file": "host"}


@pytest.mark.parametrize(
    "kind", [tarfile.LNKTYPE, tarfile.REGTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_a_member_replaces_a_link_instead_of_writing_through_it(
    tmp_path: Path, outside: Path, kind: bytes
) -> None:
    path = archive(
        tmp_path / "a.tar",
        entry("other", content=b"other"),
        entry("link", tarfile.SYMTYPE, linkname=os.fspath(outside / "file")),
        entry("link", kind, linkname="other", mode=0o777),
    )
    root = Path(unpack(path, tmp_path / "t").rootfs)
    assert not (root / "link").is_symlink()
    assert contents(outside) == {"file": "host"}
    assert stat.S_IMODE((outside / "file").stat().st_mode) & 0o111 == 0


def test_a_directory_replaces_a_link(tmp_path: Path, outside: Path) -> None:
    path = archive(
        tmp_path / "a.tar",
        entry("link", tarfile.SYMTYPE, linkname=os.fspath(outside)),
        entry("link", tarfile.DIRTYPE, mode=0o777),
        entry("link/new", content=b"guest"),
    )
    root = Path(unpack(path, tmp_path / "t").rootfs)
    assert (root / "link/new").read_bytes() == b"guest"
    assert contents(outside) == {"file": "host"}


@pytest.mark.parametrize("link", ["{outside}/file", "through/file", "../outside/file"])
def test_a_hard_link_takes_no_file_of_the_host(tmp_path: Path, outside: Path, link: str) -> None:
    path = archive(
        tmp_path / "a.tar",
        entry("through", tarfile.SYMTYPE, linkname=os.fspath(outside)),
        entry("stolen", tarfile.LNKTYPE, linkname=link.format(outside=outside)),
    )
    with pytest.raises(ArchiveError):
        unpack(path, tmp_path / "t")
    assert (outside / "file").stat().st_nlink == 1


def test_later_members_replace_earlier_ones(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.tar",
        entry("dir/file", content=b"1"),
        entry("dir", content=b"2"),
        entry("file", content=b"3"),
        entry("file/inner", content=b"4"),
    )
    root = Path(unpack(path, tmp_path / "t").rootfs)
    assert (root / "dir").read_bytes() == b"2"
    assert (root / "file/inner").read_bytes() == b"4"


def test_a_link_to_itself_is_harmless(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.tar", entry("a", content=b"1"), entry("a", tarfile.LNKTYPE, linkname="./a")
    )
    assert Path(unpack(path, tmp_path / "t").rootfs, "a").read_bytes() == b"1"


def test_sockets_are_left_out_of_an_export(tmp_path: Path) -> None:
    import socket

    source = tmp_path / "s"
    source.mkdir()
    (source / "file").write_text("x")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(source / "sock"))
    assert set(listing(pack(unpack(source, tmp_path / "t")))) == {"", "file"}


def test_user_attributes_are_real(tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.mkdir()
    (source / "file").write_text("x")
    try:
        os.setxattr(source / "file", "user.note", b"\xff\0x")
    except OSError as e:
        pytest.skip(f"no user.* attributes on {tmp_path}: {e}")
    tree = unpack(source, tmp_path / "t")
    assert os.getxattr(Path(tree.rootfs, "file"), "user.note") == b"\xff\0x"
    (tmp_path / "again.tar").write_bytes(pack(tree))
    again = unpack(tmp_path / "again.tar", tmp_path / "u")
    assert os.getxattr(Path(again.rootfs, "file"), "user.note") == b"\xff\0x"


def test_gnu_tar_reads_an_export(system: Path, tmp_path: Path) -> None:
    (tmp_path / "out.tar").write_bytes(pack(unpack(system, tmp_path / "t")))
    shown = subprocess.run(
        ["tar", "-tvf", tmp_path / "out.tar", "--numeric-owner"],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    assert "-rwsr-xr-x 0/0" in shown
    assert "d--------- 1234/5678" in shown
    assert "brw-rw---- 0/6" in shown
