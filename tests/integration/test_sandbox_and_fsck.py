"""sandbox seal, sandbox rescan and fsck: what is remembered survives copies and damage."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import Udockpy
from support.world import missing

MAKE = (
    "touch /f /g; chown 12:34 /f; chmod 4711 /f; mknod /n c 5 1; chown 33:33 /var/www;"
    " chmod 1770 /var/www; ln -s x /l; chown -h 7:8 /l; chown 9 /etc/issue; chmod 0 /g"
)
SHOWN = [
    "/f 12:34 4711 regular empty file 0,0",
    "/g 0:0 0 regular empty file 0,0",
    "/n 0:0 644 character special file 5,1",
    "/var/www 33:33 1770 directory 0,0",
    "/l 7:8 777 symbolic link 0,0",
    "/etc/issue 9:0 644 regular file 0,0",
]


@pytest.fixture
def made(udockpy: Udockpy, box: Path) -> Path:
    """The box, with owners."""
    udockpy.output("run", "--root", box, "sh", "-c", MAKE)
    return box


def shown(udockpy: Udockpy, box: Path) -> list[str]:
    paths = [line.split()[0] for line in SHOWN]
    words = ("run", "--root", box, "stat", "-c", "%n %u:%g %a %F %t,%T", *paths)
    return udockpy.output(*words).splitlines()


def copied(source: Path, target: Path) -> Path:
    """A copy with all that cp keeps, in which every file has another inode number. Devices cannot
    be read, and are not there."""
    done = subprocess.run(["cp", "-a", source, target], capture_output=True, check=False)
    assert done.stderr.decode().splitlines() == [
        f"cp: cannot open '{source}/n' for reading: Permission denied"
    ]
    return target


def has_xattrs(folder: Path) -> bool:
    try:
        os.setxattr(folder, "user.try", b"")
        os.removexattr(folder, "user.try")
    except OSError:
        return False
    return True


def test_a_sealed_copy_is_known(udockpy: Udockpy, made: Path) -> None:
    if not has_xattrs(made):
        missing(f"{made}: its filesystem has no extended attributes")
    assert udockpy.output("sandbox", "seal", made) == "4 files sealed, 2 by path only"
    assert os.getxattr(made / "f", "user.containers.override_stat") == b"12:34:04711"
    assert os.getxattr(made / "f", "user.rootlesscontainers") == b"\x08\x0c\x10\x22"
    copy = copied(made, made.parent / "copy")
    shutil.rmtree(made)
    said = udockpy.output("sandbox", "rescan", copy)
    assert said == "0 files known, 4 by their seals, 0 by their paths"
    # Links cannot carry seals, devices cannot be copied: the list by path has them.
    said = udockpy.output("sandbox", "rescan", "--from", made, copy)
    assert said == "4 files known, 0 by their seals, 1 by their paths, 1 devices made"
    assert shown(udockpy, copy) == SHOWN


def test_a_copy_is_known_by_its_original(udockpy: Udockpy, made: Path) -> None:
    copy = copied(made, made.parent / "copy")
    said = udockpy.output("sandbox", "rescan", "--from", made, copy)
    assert said == "0 files known, 0 by their seals, 5 by their paths, 1 devices made"
    assert shown(udockpy, copy) == SHOWN
    assert shown(udockpy, made) == SHOWN
    assert udockpy.output("sandbox", "rescan", copy).startswith("6 files known")
    assert shown(udockpy, copy) == SHOWN


def test_seals_follow_what_changes(udockpy: Udockpy, made: Path) -> None:
    if not has_xattrs(made):
        missing(f"{made}: its filesystem has no extended attributes")
    udockpy.output("sandbox", "seal", made)
    udockpy.output("run", "--root", made, "sh", "-c", "chown 1:1 /f; rm /g /n; chown 0 /etc/issue")
    udockpy.output("sandbox", "seal", made)
    assert os.getxattr(made / "f", "user.containers.override_stat") == b"1:1:0711"
    assert "user.rootlesscontainers" not in os.listxattr(made / "etc/issue")


def test_an_archive_heeds_seals_and_has_none(udockpy: Udockpy, box: Path) -> None:
    """A directory that umoci unpacked without root has owners that way."""
    if not has_xattrs(box):
        missing(f"{box}: its filesystem has no extended attributes")
    os.setxattr(box / "etc/passwd", "user.rootlesscontainers", b"\x08\x05\x10\x06")
    os.setxattr(box / "etc/passwd", "user.other", b"1")
    udockpy.output("import", box, "imported")
    words = ("exec", "--root", "imported", "stat", "-c", "%u:%g", "/etc/passwd")
    assert udockpy.output(*words) == "5:6"
    (tree,) = udockpy.home.glob("imported/imported/rootfs")
    assert os.listxattr(tree / "etc/passwd") == ["user.other"]


def test_nothing_to_go_by_is_said(udockpy: Udockpy, made: Path) -> None:
    said = udockpy.refusal("sandbox", "rescan", "--from", "/nowhere", made)
    assert "nothing is remembered of it" in said


def test_who_runs_there_is_in_the_way(udockpy: Udockpy, made: Path) -> None:
    wait = "while test -e /f; do sleep 0.1; done >/dev/null 2>&1 & exec true"
    udockpy.output("run", "--root", made, "sh", "-c", wait)
    try:
        for words in (("sandbox", "rescan"), ("sandbox", "seal"), ("fsck", "--repair")):
            assert "in use on" in udockpy.refusal(*words, made)
        assert "6 files remembered" in udockpy.output("fsck", made)
    finally:
        (made / "f").unlink()


@contextmanager
def claimed(lock: Path) -> Iterator[None]:
    """As if something else ran there, on this node."""
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def database(udockpy: Udockpy) -> Path:
    (found,) = udockpy.home.glob("sandboxes/*/fakedb")
    return found


def offsets(file: Path) -> tuple[int, int]:
    """Where the slots and the entries begin: docs/reference/fakedb.md."""
    header = file.read_bytes()[:4096]
    return int.from_bytes(header[48:56], "little"), int.from_bytes(header[56:64], "little")


def overwrite(file: Path, offset: int, content: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(content)


def test_what_is_sound_is_left_alone(udockpy: Udockpy, made: Path) -> None:
    assert udockpy.output("fsck", made).startswith("6 files remembered, ")
    report = json.loads(udockpy.output("fsck", "--json", made))
    assert (report["files"], report["damaged"], report["unusable"]) == (6, 0, "")
    before = report["changes_used"]
    report = json.loads(udockpy.output("fsck", "--json", "--repair", made))
    assert (report["files"], report["repaired"]) == (6, True)
    assert report["changes_used"] < before  # the last change of each file is left
    assert shown(udockpy, made) == SHOWN


def test_a_damaged_index_is_made_anew(udockpy: Udockpy, made: Path) -> None:
    file = database(udockpy)
    slots, entries = offsets(file)
    overwrite(file, slots, b"\xff" * (entries - slots))
    said = udockpy.refusal("fsck", made)
    assert "the fakedb is damaged" in said
    assert "--repair" in said
    assert udockpy.output("fsck", "--repair", made).startswith("6 files remembered")
    assert udockpy.output("fsck", made).startswith("6 files remembered")
    assert shown(udockpy, made) == SHOWN


def test_damaged_records_are_told_and_dropped(udockpy: Udockpy, made: Path) -> None:
    file = database(udockpy)
    _, entries = offsets(file)
    used = json.loads(udockpy.output("fsck", "--json", made))["changes_used"]
    overwrite(file, entries + 64 * used + 32, b"\x77")  # the owner in the last change: /g's mode
    assert "1 records damaged" in udockpy.refusal("fsck", made)
    assert udockpy.output("fsck", "--repair", made).startswith("5 files remembered")
    assert shown(udockpy, made) == [
        line if not line.startswith("/g") else "/g 0:0 600 regular empty file 0,0" for line in SHOWN
    ]


def test_what_cannot_be_read_comes_back_from_seals(udockpy: Udockpy, made: Path) -> None:
    udockpy.output("sandbox", "seal", made)
    overwrite(database(udockpy), 8, b"\xff\xff\xff\xff")
    said = udockpy.refusal("fsck", made)
    assert "damaged" in said
    assert udockpy.output("fsck", "--repair", made).startswith("6 files remembered")
    assert shown(udockpy, made) == SHOWN
    assert database(udockpy).with_name("fakedb.damaged").exists()


def test_nothing_remembered_is_sound(udockpy: Udockpy, box: Path) -> None:
    assert udockpy.output("fsck", box).startswith("0 files remembered")


def test_containers_too_but_no_images(udockpy: Udockpy, image: str) -> None:
    container = udockpy.output("create", image)
    udockpy.output("exec", "--root", container, "chown", "5", "/etc/issue")
    assert udockpy.output("fsck", "--repair", container).startswith("1 files remembered")
    assert udockpy.output("exec", "--root", container, "stat", "-c%u", "/etc/issue") == "5"
    udockpy.output("fsck", image)
    assert "an image never changes" in udockpy.refusal("fsck", "--repair", image)


def test_a_full_database_gets_room_at_the_next_start(udockpy: Udockpy, made: Path) -> None:
    file = database(udockpy)
    overwrite(file, 128, (900_000).to_bytes(8, "little"))  # changes used
    before = file.stat().st_ino
    with claimed(file.with_name("node")):  # not while somebody else is there
        assert shown(udockpy, made) == SHOWN
    assert file.stat().st_ino == before
    assert shown(udockpy, made) == SHOWN
    assert json.loads(udockpy.output("fsck", "--json", made))["changes_used"] < 100
    before = file.stat().st_ino
    assert shown(udockpy, made) == SHOWN
    assert file.stat().st_ino == before
