"""build, and images in single files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from command import Udockpy
from support.world import missing

LAUNCH = b"#!/usr/bin/env run-singularity\n"
CHANGE = "chown 12:34 /etc/issue; chmod 4755 /etc/issue; mknod /null c 1 3; mkdir -m 1777 /t"
SHOW = "stat -c '%n %u:%g %a %t:%T %F' /etc/issue /null /t"
SHOWN = [
    "/etc/issue 12:34 4755 0:0 regular file",
    "/null 0:0 644 1:3 character special file",
    "/t 0:0 1777 0:0 directory",
]


@pytest.fixture(autouse=True)
def mksquashfs() -> None:
    if not os.access("/usr/bin/mksquashfs", os.X_OK):
        missing("mksquashfs: not found (apt-get install squashfs-tools)")


@pytest.fixture
def changed(udockpy: Udockpy, box: Path) -> Path:
    """A sandbox with what an ordinary user cannot really make."""
    udockpy.output("run", "--root", box, "sh", "-c", CHANGE)
    return box


@pytest.fixture
def scripted(box: Path) -> Path:
    """A sandbox as Apptainer makes them."""
    (box / ".singularity.d/env").mkdir(parents=True)
    script = "export COLOUR=red SHAPE=round\n"
    (box / ".singularity.d/env/90-environment.sh").write_text(script)
    runscript = box / ".singularity.d/runscript"
    runscript.write_text('#!/bin/sh\necho "runs $* $COLOUR $SHAPE"\n')
    runscript.chmod(0o755)
    return box


@pytest.mark.parametrize("name", ["image.sif", "image.sqfs"])
def test_a_sandbox_becomes_a_file_and_a_sandbox_again(
    udockpy: Udockpy, changed: Path, name: str
) -> None:
    assert udockpy.output("build", name, changed) == ""
    image = udockpy.cwd / name
    shown = udockpy.output("exec", "--root", image, "sh", "-c", SHOW)
    assert shown.splitlines() == SHOWN
    assert udockpy.output("build", "--sandbox", "again", name) == ""
    shown = udockpy.output("exec", "--root", udockpy.cwd / "again", "sh", "-c", SHOW)
    assert shown.splitlines() == SHOWN
    udockpy.output("run", "--root", udockpy.cwd / "again", "touch", "/etc/new")
    assert not [entry for entry in os.listdir(udockpy.cwd) if entry.startswith(".")]


def test_a_sif_file_is_a_program_with_one_partition(udockpy: Udockpy, box: Path) -> None:
    udockpy.output("build", "image.sif", box)
    content = (udockpy.cwd / "image.sif").read_bytes()
    assert content.startswith(LAUNCH)
    assert os.access(udockpy.cwd / "image.sif", os.X_OK)
    assert udockpy.output("run", udockpy.cwd / "image.sif", "cat", "/etc/issue") == "guest"


def test_legacy_images_have_a_line_before_their_filesystem(udockpy: Udockpy, box: Path) -> None:
    udockpy.output("build", "image.sqfs", box)
    old = udockpy.cwd / "old.simg"
    old.write_bytes(LAUNCH + (udockpy.cwd / "image.sqfs").read_bytes())
    assert udockpy.output("exec", old, "cat", "/etc/issue") == "guest"


def test_a_file_is_unpacked_once_by_content(udockpy: Udockpy, box: Path) -> None:
    udockpy.output("build", "image.sif", box)
    copy = udockpy.cwd / "copy.sif"
    copy.write_bytes((udockpy.cwd / "image.sif").read_bytes())
    for path in (udockpy.cwd / "image.sif", copy, copy):
        assert udockpy.output("exec", path, "cat", "/etc/issue") == "guest"
    trees = [
        entry.name
        for entry in os.scandir(udockpy.home / "files")
        if entry.is_dir(follow_symlinks=False)
    ]
    assert len(trees) == 1


def test_an_image_that_changed_is_another_one(udockpy: Udockpy, box: Path) -> None:
    udockpy.output("build", "image.sif", box)
    image = udockpy.cwd / "image.sif"
    assert udockpy.output("exec", image, "cat", "/etc/issue") == "guest"
    (box / "etc/issue").write_text("other\n")
    udockpy.output("build", "--force", "image.sif", box)
    assert udockpy.output("exec", image, "cat", "/etc/issue") == "other"


def test_exec_reads_an_image_and_run_gets_a_container(udockpy: Udockpy, box: Path) -> None:
    udockpy.output("build", "image.sif", box)
    image = udockpy.cwd / "image.sif"
    assert udockpy("exec", "--root", image, "touch", "/new").returncode == 1
    udockpy.output("run", "--rm", "--root", image, "sh", "-c", "touch /new; ls /new")
    assert udockpy("exec", "--root", image, "ls", "/new").returncode == 1


def test_scripts_of_singularity_are_heeded(udockpy: Udockpy, scripted: Path) -> None:
    udockpy.output("build", "image.sif", scripted)
    for target in (scripted, udockpy.cwd / "image.sif"):
        assert udockpy.output("run", target, "a", "b") == "runs a b red round"
        script = 'echo "$COLOUR $SHAPE $#" "$@"'
        words = ("-e", "COLOUR=a b", target, "sh", "-c", script, "sh", "x y", "")
        assert udockpy.output("exec", *words) == "a b round 2 x y "
        assert udockpy("exec", target, "sh", "-c", "exit 9").returncode == 9
        assert udockpy("exec", target, "no-such").returncode == 127


def test_what_is_there_is_not_replaced_unasked(udockpy: Udockpy, box: Path) -> None:
    (udockpy.cwd / "mine").mkdir()
    (udockpy.cwd / "mine/thesis").write_text("x")
    assert "it exists" in udockpy.refusal("build", "--sandbox", "mine", box)
    assert "no sandbox" in udockpy.refusal("build", "--force", "--sandbox", "mine", box)
    assert "a directory" in udockpy.refusal("build", "--force", "mine", box)
    assert "of itself" in udockpy.refusal("build", "--force", "--sandbox", box, box)
    assert (udockpy.cwd / "mine/thesis").read_text() == "x"
    assert os.listdir(udockpy.cwd) == ["mine"]
    udockpy.output("build", "--sandbox", "new", box)
    (box / "etc/issue").write_text("other\n")
    udockpy.output("build", "--force", "--sandbox", "new", box)
    assert (udockpy.cwd / "new/etc/issue").read_text() == "other\n"


@pytest.mark.parametrize("size", [100, 10_000, 60_000])
def test_a_file_that_was_cut_short_leaves_nothing(udockpy: Udockpy, box: Path, size: int) -> None:
    udockpy.output("build", "image.sif", box)
    image = udockpy.cwd / "image.sif"
    os.truncate(image, size)
    said = udockpy.refusal("run", image, "true")
    assert "image.sif" in said
    files = udockpy.home / "files"
    assert not files.exists() or not os.listdir(files)


def test_squashfs_tools_read_what_we_write(udockpy: Udockpy, changed: Path) -> None:
    udockpy.output("build", "image.sqfs", changed)
    done = subprocess.run(
        ["unsquashfs", "-lln", udockpy.cwd / "image.sqfs"], capture_output=True, check=True
    )
    listed = [line.split() for line in done.stdout.decode().splitlines()]
    rows = {words[-1].replace("squashfs-root", ""): words[:-1] for words in listed}
    assert rows[""][:2] == ["drwxr-xr-x", "0/0"]
    assert rows["/etc/issue"][:2] == ["-rwsr-xr-x", "12/34"]
    assert rows["/null"][:4] == ["crw-r--r--", "0/0", "1,", "3"]
