"""The drop-in apptainer does what Apptainer does. Every row of the tables is also put to the real
program, where one is on PATH.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from apptainer import ROWS, SCRIPTS, Row, Tool, check, installed
from command import Udockpy
from support.product import text
from support.world import missing
from world.registry import run
from zoo import COPY, Zoo

from udockpy.store.running import start_time

REAL = shutil.which("apptainer") or ""  # Debian sid has it


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    return installed(tmp_path_factory.mktemp("apptainer"))


@pytest.fixture(scope="module", params=["ours", *(["real"] if REAL else [])])
def tool(request: pytest.FixtureRequest, ours: Tool) -> Tool:
    """Ours, and the real one where there is one."""
    if request.param == "ours":
        return ours
    return Tool(Path(REAL), ours.work, ours.environ, ours.image)


@pytest.mark.parametrize("row", ROWS)
def test_as_apptainer_does(tool: Tool, row: Row) -> None:
    check(tool, row)


def test_what_apptainer_has_and_we_have_not_is_refused_by_name(ours: Tool) -> None:
    for words, name in {
        ("key", "list"): "key",
        ("sign", "x.sif"): "sign",
        ("push", "x.sif", "oras://x/y"): "push",
        ("overlay", "create", "x.img"): "overlay",
        ("exec", "--overlay", "x", "IMG", "true"): "--overlay",
        ("exec", "--net", "--network", "bridge", "IMG", "true"): "--net",
        ("exec", "--fusemount", "x", "IMG", "true"): "--fusemount",
        ("exec", "--security", "x", "IMG", "true"): "--security",
        ("exec", "library://x", "true"): "library:",
        ("pull", "oras://x/y"): "oras:",
    }.items():
        done = ours(*words)
        assert done.returncode == 255, text(done)
        assert re.match(rf"FATAL:   .*{name}.* is not supported by udockpy", done.stderr.decode())


def test_what_has_no_effect_is_said(ours: Tool) -> None:
    done = ours("exec", "--nv", "--cpus", "1", "IMG", "true")
    assert done.returncode == 0
    lines = done.stderr.decode().splitlines()
    assert [line.split()[:2] for line in lines] == [["WARNING:", "--nv"], ["WARNING:", "--cpus"]]
    assert ours("-s", "exec", "--nv", "IMG", "true").stderr == b""


def test_an_image_file_is_built_inspected_and_runs_by_itself(ours: Tool) -> None:
    if not os.access("/usr/bin/mksquashfs", os.X_OK):
        missing("mksquashfs: not found (apt-get install squashfs-tools)")
    image = ours.work / "x.sif"
    done = ours("build", str(image), "IMG")
    assert (done.returncode, done.stdout) == (0, b""), text(done)
    assert f"INFO:    Build complete: {image}" in done.stderr.decode()
    again = ours("build", str(image), "IMG")
    assert again.returncode == 255
    assert "already exists. Use --force" in again.stderr.decode()
    assert ours("build", "--force", str(image), "IMG").returncode == 0
    itself = subprocess.run([image, "a"], env=ours.environ, capture_output=True, check=True)
    assert itself.stdout == b"runs:1:a:image\n"
    refused = ours("exec", "--writable", str(image), "true")
    assert refused.returncode == 255
    assert "no SIF writable overlay partition found" in refused.stderr.decode()
    assert ours("sif", "list", str(image)).stdout.count(b"Squashfs/*System") == 1
    assert ours("build", "--sandbox", "again", str(image)).returncode == 0
    assert ours("run", "again", "b").stdout == b"runs:1:b:image\n"
    assert ours("cache", "list").stdout.startswith(b"There are 1 container file(s)")
    assert ours("cache", "clean", "--force").returncode == 0
    assert ours("cache", "list").stdout.startswith(b"There are 0 container file(s)")


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        ((), "Author: me"),
        (("-r",), SCRIPTS["runscript"].strip()),
        (("-d",), "bootstrap: scratch"),
        (("-H",), "helps"),
        (("-t",), SCRIPTS["test"].strip()),
        (("--list-apps",), "tool"),
        (("--app", "tool"), "Name: tool"),
        (("--app", "tool", "-H"), "app helps"),
    ],
)
def test_inspect_prints_texts(ours: Tool, flags: tuple[str, ...], wanted: str) -> None:
    assert ours("inspect", *flags, "IMG").stdout.decode().strip("\n") == wanted


def test_inspect_prints_json(ours: Tool) -> None:
    done = ours("inspect", "--json", "IMG")
    labels = {"labels": {"Author": "me"}}
    assert json.loads(done.stdout) == {"data": {"attributes": labels}, "type": "container"}
    everything = json.loads(ours("inspect", "--all", "IMG").stdout)["data"]["attributes"]
    assert set(everything) == {
        "labels", "deffile", "runscript", "startscript", "test", "environment", "helpfile",
    }  # fmt: skip


def test_an_instance_stays_until_it_is_stopped(ours: Tool) -> None:
    done = ours("instance", "start", "--env", "A=b", "-B", "data:/data", "IMG", "one")
    assert (done.returncode, done.stdout) == (0, b""), text(done)
    try:
        again = ours("instance", "start", "IMG", "one")
        assert (again.returncode, again.stderr) == (255, b"FATAL:   instance one already exists\n")
        (row,) = json.loads(ours("instance", "list", "--json").stdout)["instances"]
        assert (row["instance"], row["img"]) == ("one", str(ours.image))
        assert start_time(row["pid"]) is not None
        wait_for(lambda: Path(row["logOutPath"]).read_text() == "started\n")
        inside = ours(
            "exec", "instance://one", "sh", "-c", "cat /data/file; echo $APPTAINER_INSTANCE"
        )
        assert inside.stdout == b"data\none\n"
        assert ours("instance", "list").stdout.decode().splitlines()[1].split()[0] == "one"
        assert ours("cache", "clean", "-f").returncode == 255  # it may run in one of them
    finally:
        stopped = ours("instance", "stop", "one")
    assert stopped.returncode == 0, text(stopped)
    assert start_time(row["pid"]) is None
    assert json.loads(ours("instance", "list", "--json").stdout) == {"instances": []}
    assert ours("instance", "stop", "one").returncode == 1
    gone = ours("exec", "instance://one", "true")
    assert (gone.returncode, gone.stderr) == (255, b"FATAL:   no instance found with name one\n")


def test_temporary_directories_go_with_their_run(ours: Tool) -> None:
    folder = ours.work / "temporary"
    folder.mkdir()
    env = {"APPTAINER_TMPDIR": str(folder)}
    assert ours("exec", "-c", "IMG", "touch", "/tmp/x", env=env).returncode == 0
    assert ours("exec", "--writable-tmpfs", "IMG", "touch", "/x", env=env).returncode == 0
    assert os.listdir(folder) == []


def test_only_our_own_programs_are_replaced(ours: Tool, tmp_path: Path) -> None:
    udockpy = Udockpy(tmp_path / "state", tmp_path)
    folder = tmp_path / "bin"
    udockpy.output("drop-in", "install", "--dir", folder, "singularity")
    assert sorted(os.listdir(folder)) == ["run-singularity", "singularity"]
    udockpy.output("drop-in", "install", "--dir", folder, "singularity")
    (folder / "apptainer").write_text("#!/bin/sh\n")
    said = udockpy.refusal("drop-in", "install", "--dir", folder, "apptainer")
    assert "another program is there" in said
    assert (folder / "apptainer").read_text() == "#!/bin/sh\n"


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_image_of_a_registry_becomes_a_file_that_says_how_it_is_run(
    ours: Tool, zoo: Zoo
) -> None:
    layout = zoo.folder / "entrypoint"
    if not layout.exists():
        run("cp", "-a", zoo.layout, layout)
    words = (
        *("--config.entrypoint", "/bin/sh", "--config.entrypoint", "-c"),
        *("--config.cmd", "echo cmd $ZOO $0", "--config.env", "ZOO=a 'b"),
        *("--config.env", "PATH=/bin", "--config.label", "Author=me"),
    )
    run("umoci", "config", "--image", f"{layout}:base", "--tag", "entrypoint", *words)
    reference = zoo.reference("entrypoint:1")
    source = f"oci:{layout}:entrypoint"
    run(*COPY, "--dest-tls-verify=false", source, f"docker://{reference}")
    done = ours("pull", "--no-https", f"docker://{reference}")
    assert (done.returncode, done.stdout) == (0, b""), text(done)
    image = ours.work / "entrypoint_1.sif"
    again = ours("pull", "--no-https", f"docker://{reference}")
    assert again.returncode == 255
    assert b'FATAL:   Image file already exists: "entrypoint_1.sif"' in again.stderr
    assert ours("build", "--sandbox", "entrypoint", str(image)).returncode == 0
    archive = ours.work / "entrypoint.tar"
    archive.unlink(missing_ok=True)
    run(*COPY, source, f"docker-archive:{archive}")
    for name in (image, "entrypoint", f"docker://{reference}", f"docker-archive://{archive}"):
        assert ours("run", str(name)).stdout == b"cmd a 'b /bin/sh\n"
        assert ours("run", str(name), "echo args $0", "x").stdout == b"args x\n"
        inside = ours("exec", str(name), "sh", "-c", "echo $ZOO", env={"ZOO": "host"})
        assert inside.stdout == b"a 'b\n"
        search = ours("exec", str(name), "sh", "-c", "echo $PATH").stdout
        assert search == b"/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin\n"
        told = ours("exec", "--env", "ZOO=told", str(name), "sh", "-c", "echo $ZOO")
        assert told.stdout == b"told\n"
        assert ours("inspect", str(name)).stdout == b"Author: me\n"


def test_a_definition_is_built(ours: Tool) -> None:
    (ours.work / "x.def").write_text(
        "Bootstrap: localimage\nFrom: IMG\n%post\n  echo {{ word }} >/built\n".replace(
            "IMG", str(ours.image)
        )
    )
    words = ("build", "--fakeroot", "--sandbox", "--build-arg", "word=yes", "built", "x.def")
    done = ours(*words)
    assert done.returncode == 0, text(done)
    assert ours("exec", "built", "cat", "/built").stdout == b"yes\n"
