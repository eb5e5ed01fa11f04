"""sif, and inspect of what is no pulled image."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from command import Udockpy
from support.world import missing


@pytest.fixture(autouse=True)
def mksquashfs() -> None:
    if not os.access("/usr/bin/mksquashfs", os.X_OK):
        missing("mksquashfs: not found (apt-get install squashfs-tools)")


@pytest.fixture
def described(box: Path) -> Path:
    """A sandbox with all that Apptainer writes about one."""
    folder = box / ".singularity.d"
    (folder / "env").mkdir(parents=True)
    (folder / "labels.json").write_text('{"Author": "me", "Number": 1}')
    (folder / "Singularity").write_text("bootstrap: scratch\n")
    (folder / "runscript").write_text("#!/bin/sh\necho runs\n")
    (folder / "env/90-environment.sh").write_text("export A=b\n")
    app = box / "scif/apps/tool/scif"
    app.mkdir(parents=True)
    (app / "runscript").write_text("#!/bin/sh\necho tool\n")
    (app / "labels.json").write_text("broken")
    return box


DESCRIPTION = {
    "labels": {"Author": "me", "Number": "1"},
    "deffile": "bootstrap: scratch\n",
    "runscript": "#!/bin/sh\necho runs\n",
    "environment": {"/.singularity.d/env/90-environment.sh": "export A=b\n"},
    "apps": {"tool": {"labels": {}, "runscript": "#!/bin/sh\necho tool\n"}},
}


def test_inspect_reads_sandboxes_and_files(udockpy: Udockpy, described: Path) -> None:
    for name in ("image.sif", "image.sqfs"):
        udockpy.output("build", name, described)
    words = (described, udockpy.cwd / "image.sif", udockpy.cwd / "image.sqfs")
    found = json.loads(udockpy.output("inspect", *words))
    assert [entry["singularity"] for entry in found] == [DESCRIPTION] * 3
    assert [entry["kind"] for entry in found] == ["sandbox", "image", "image"]


def test_inspect_of_a_container_has_no_more_than_there_is(udockpy: Udockpy, image: str) -> None:
    container = udockpy.output("create", image)
    (found,) = json.loads(udockpy.output("inspect", container))
    assert set(found) == {"name", "kind", "rootfs"}


def test_list_header_and_dump(udockpy: Udockpy, box: Path) -> None:
    udockpy.output("build", "image.sif", box)
    listed = udockpy.output("sif", "list", "image.sif").splitlines()
    assert listed[1] == "ID   |GROUP   |LINK    |SIF POSITION (start-end)  |TYPE"
    row = re.fullmatch(r"1    \|1       \|NONE    \|(\d+)-(\d+) +\|FS \(Squashfs/.*", listed[3])
    assert row is not None
    header = udockpy.output("sif", "header", "image.sif").splitlines()
    assert "Launch Script:        #!/usr/bin/env run-singularity" in header
    with open(udockpy.cwd / "image.sif", "rb") as file:
        content = file.read()
    done = udockpy("sif", "dump", "1", "image.sif")
    assert done.stdout == content[int(row[1]) : int(row[2])]
    assert done.stdout.startswith(b"hsqs")
    assert "no object 9; there are 1" in udockpy.refusal("sif", "dump", "9", "image.sif")


def test_verify_finds_damage(udockpy: Udockpy, box: Path) -> None:
    udockpy.output("build", "image.sif", box)
    assert "nothing is signed" in udockpy.output("sif", "verify", "image.sif")
    image = udockpy.cwd / "image.sif"
    image.write_bytes(image.read_bytes().replace(b"hsqs", b"none"))
    assert "no squashfs" in udockpy.refusal("sif", "verify", "image.sif")
