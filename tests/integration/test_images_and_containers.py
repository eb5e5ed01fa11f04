"""import, images, create, ps -a, rm, rmi and export."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

from command import Udockpy
from support.product import text


def test_an_archive_is_imported_from_a_file_and_from_a_pipe(udockpy: Udockpy, box: Path) -> None:
    path = udockpy.cwd / "a.tar.xz"
    subprocess.run(["tar", "-cJf", path, "-C", box, "."], check=True)
    assert udockpy.output("import", path, "one") == "one"
    assert udockpy.output("import", "-", "two", input=path.read_bytes()) == "two"
    for name in ("one", "two"):
        assert udockpy.output("exec", name, "cat", "/etc/issue") == "guest"
    assert udockpy.output("images") == "IMAGE  DIGEST  PLATFORM  SIZE\none\ntwo"
    assert [row["name"] for row in json.loads(udockpy.output("images", "--json"))] == ["one", "two"]


def test_containers_are_copies(udockpy: Udockpy, image: str) -> None:
    first = udockpy.output("create", image)
    second = udockpy.output("create", "--name", "second", image)
    udockpy.output("run", first, "sh", "-c", "echo changed >/etc/issue")
    assert udockpy.output("run", "second", "cat", "/etc/issue") == "guest"
    third = udockpy.output("create", first)
    assert udockpy.output("run", third, "cat", "/etc/issue") == "changed"
    listed = json.loads(udockpy.output("ps", "-a", "--json"))
    assert {(row["id"], row["name"], row["image"]) for row in listed} == {
        (first, "", image),
        (second, "second", image),
        (third, "", first),
    }


def odd_image(udockpy: Udockpy, box: Path) -> str:
    """An image with a directory of www's."""
    with tarfile.open(udockpy.cwd / "odd.tar", "w") as archive:
        archive.add(box, ".")
        member = tarfile.TarInfo("var/www")
        member.type, member.mode, member.uid, member.gid = tarfile.DIRTYPE, 0o2750, 33, 34
        archive.addfile(member)
    return udockpy.output("import", "odd.tar", "odd")


def test_a_directory_keeps_its_owner_when_something_is_made_in_it(
    udockpy: Udockpy, box: Path
) -> None:
    """Also on an overlay, where it becomes another file then."""
    script = "echo >/var/www/new; chown 5:6 /etc; echo >/etc/new; stat -c %u:%g:%a /var/www /etc"
    image = odd_image(udockpy, box)
    for options in (("--rm", "--root"), ("--root",)):
        done = udockpy("run", *options, image, "sh", "-c", script)
        assert done.stdout.decode().split() == ["33:34:2750", "5:6:755"], text(done)
    owner = f"{os.getuid()}:{os.getgid()}"  # as in the archive
    assert udockpy.output("run", "--root", "--rm", image, "stat", "-c", "%u:%g", "/etc") == owner


def test_what_lies_over_an_image_keeps_it(udockpy: Udockpy, image: str) -> None:
    words = udockpy.words("run", "--rm", image, "sh", "-c", "echo ready; read line")
    guest = subprocess.Popen(
        words,
        cwd=udockpy.cwd,
        env=udockpy.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert guest.stdout is not None
    assert guest.stdout.readline() == b"ready\n"
    (row,) = json.loads(udockpy.output("ps", "-a", "--json"))
    layer = udockpy.home / "containers" / row["id"] / "lower"
    if layer.is_symlink():
        assert "lies over" in udockpy.refusal("rmi", image)
        assert "only the run that made it" in udockpy.refusal("exec", row["id"], "true")
        assert "runs in it" in udockpy.refusal("rm", row["id"])
    guest.communicate(b"\n")
    assert guest.returncode == 0
    udockpy.output("rmi", image)
    assert udockpy.state() == []


def test_what_is_removed_is_gone(udockpy: Udockpy, image: str) -> None:
    identifier = udockpy.output("create", "--name", "work", image)
    other = udockpy.output("create", image)
    udockpy.output("run", "work", "sh", "-c", "mkdir -p /a/b; touch /a/b/c; chmod 0 /a/b /a")
    udockpy.output("rmi", image)
    udockpy.output("rm", "work", other)
    assert udockpy.state() == []
    for words in (("rm", identifier), ("rm", "work"), ("rmi", image), ("run", "work", "true")):
        assert "no such" in udockpy.refusal(*words)


def names(data: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return set(archive.getnames())


def test_an_export_is_an_archive_of_root(udockpy: Udockpy, image: str, box: Path) -> None:
    done = udockpy("export", image)
    assert (done.returncode, done.stderr) == (0, b"")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        members = archive.getmembers()
    assert {(member.uid, member.gid) for member in members} == {(0, 0)}
    assert {member.name for member in members} >= {"./etc/issue", "./bin/sh"}
    udockpy.output("export", "-o", "out.tar", box)
    assert names((udockpy.cwd / "out.tar").read_bytes()) == names(done.stdout)


def test_owners_modes_and_devices_come_back_from_an_archive(udockpy: Udockpy, box: Path) -> None:
    with tarfile.open(udockpy.cwd / "a.tar", "w") as archive:
        for name, kind, mode, owner in (
            ("bin/su", tarfile.REGTYPE, 0o4755, (0, 0)),
            ("dev/null", tarfile.CHRTYPE, 0o666, (0, 0)),
            ("var/www", tarfile.DIRTYPE, 0o2750, (33, 34)),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.mode, (member.uid, member.gid) = kind, mode, owner
            member.devmajor, member.devminor = (1, 3) if kind == tarfile.CHRTYPE else (0, 0)
            archive.addfile(member)
    udockpy.output("import", "a.tar", "odd")
    container = udockpy.output("create", "odd")
    for target in ("odd", container):
        with tarfile.open(fileobj=io.BytesIO(udockpy("export", target).stdout)) as archive:
            su, null, www = (
                archive.getmember(f"./{name}") for name in ("bin/su", "dev/null", "var/www")
            )
        assert su.mode == 0o4755
        assert (null.type, null.devmajor, null.devminor, null.mode) == (
            tarfile.CHRTYPE,
            1,
            3,
            0o666,
        )
        assert (www.mode, www.uid, www.gid) == (0o2750, 33, 34)
