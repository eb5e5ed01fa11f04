"""The drop-in udocker, called as workflow systems and people call it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Udockpy
from support.product import text
from zoo import Zoo

Udocker = Callable[..., "subprocess.CompletedProcess[bytes]"]


def udocker_program(udockpy: Udockpy) -> Path:
    return udockpy.cwd.parent / "bin/udocker"


@pytest.fixture
def udocker(udockpy: Udockpy) -> Udocker:
    program = udocker_program(udockpy)
    udockpy.output("drop-in", "install", "--dir", program.parent, "udocker")
    environ = {**udockpy.environ, "UDOCKPY_HOME": os.fspath(udockpy.home)}
    del environ["PYTHONPATH"]

    def call(*words: str | Path, **more: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [program, *words],
            cwd=udockpy.cwd,
            env={**environ, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )

    return call


@pytest.fixture
def imported(udocker: Udocker, udockpy: Udockpy, box: Path) -> str:
    udockpy.output("export", box, "-o", "box.tar")
    done = udocker("import", "box.tar", "box:1")
    assert done.returncode == 0, text(done)
    return "box:1"


def test_an_image_is_run_as_cwltool_and_miniwdl_do(
    udocker: Udocker, udockpy: Udockpy, imported: str
) -> None:
    data = udockpy.cwd / "data"
    data.mkdir()
    (data / "in").write_text("in\n")
    words = ("--quiet", "run", "--nobanner", f"--volume={data}:/var/data:rw", "--workdir=/var/data")
    script = 'id -u; pwd; cat in; echo $A "$#" $HOME; echo out >out; exit 7'
    done = udocker(*words, "--rm", "--env=A=a b", imported, "sh", "-c", script, "sh", "", "x")
    assert (done.returncode, done.stderr) == (7, b"")
    assert done.stdout.decode().splitlines() == ["0", "/var/data", "in", "a b 2 /root"]
    assert (data / "out").read_text() == "out\n"
    assert len(udocker("ps").stdout.splitlines()) == 1


def test_a_read_only_volume_is_one(udocker: Udocker, udockpy: Udockpy, imported: str) -> None:
    done = udocker("run", "--rm", "-v", f"{udockpy.cwd}:/var/x:ro", imported, "touch", "/var/x/y")
    assert done.returncode == 1
    assert b"Read-only file system" in done.stderr


def test_a_container_keeps_its_name_and_what_is_changed(udocker: Udocker, imported: str) -> None:
    created = udocker("create", "--name=mine", imported)
    assert created.returncode == 0
    identifier = created.stdout.decode().strip()
    assert udocker("run", "mine", "sh", "-c", "echo x >/etc/new").returncode == 0
    assert udocker("run", identifier, "cat", "/etc/new").stdout == b"x\n"
    rows = udocker("ps").stdout.decode().splitlines()
    assert rows[1].split() == [identifier, ".", "W", "['mine']", imported]
    rootfs = udocker("inspect", "-p", "mine").stdout.decode().strip()
    assert Path(rootfs, "etc/new").read_text() == "x\n"
    copy = udocker("clone", "--name=copy", "mine").stdout.decode().strip()
    assert udocker("run", copy, "cat", "/etc/new").stdout == b"x\n"
    assert udocker("rename", "copy", "other").returncode == 0
    assert udocker("run", "other", "cat", "/etc/new").stdout == b"x\n"
    assert udocker("protect", "other").returncode == 0
    assert udocker("rm", "other").returncode == 1
    assert udocker("unprotect", "other").returncode == 0
    assert udocker("rm", "mine", copy).returncode == 0
    assert udocker("run", "mine", "true").returncode == 1
    assert udocker("rm", "mine").returncode == 1


def test_reuse_makes_a_container_once(udocker: Udocker, imported: str) -> None:
    words = ("run", "--pull=reuse", "--name=kept", imported)
    assert udocker(*words, "sh", "-c", "echo x >/etc/new").returncode == 0
    assert udocker(*words, "cat", "/etc/new").stdout == b"x\n"


def test_who_runs_and_what_is_shown(udocker: Udocker, udockpy: Udockpy, imported: str) -> None:
    run = ("run", "--rm")
    assert udocker(*run, "--user=www", imported, "id", "-u").stdout == b"33\n"
    script = f"ls {udockpy.cwd}; echo -$FOO-; ls /proc/self/status"
    done = udocker(*run, imported, "sh", "-c", script, FOO="host")
    assert done.stdout == b"--\n/proc/self/status\n"
    assert udocker(*run, "--hostenv", imported, "sh", "-c", "echo $FOO", FOO="x").stdout == b"x\n"
    done = udocker(*run, "--nosysdirs", imported, "ls", "/sys/kernel")
    assert done.returncode == 1
    assert udocker(*run, "--entrypoint=echo", imported, "a").stdout == b"a\n"
    home = udocker(*run, "--bindhome", imported, "ls", "-d", str(udockpy.cwd))
    assert home.stdout.decode().strip() == str(udockpy.cwd)


def test_a_directory_is_run_without_a_store(udocker: Udocker, box: Path) -> None:
    assert udocker("run", f"--location={box}", "cat", "/etc/issue").stdout == b"guest\n"


def test_an_execution_mode_is_an_engine(
    udocker: Udocker, udockpy: Udockpy, imported: str, tmp_path: Path
) -> None:
    assert udocker("create", "--name=mine", imported).returncode == 0
    assert udocker("setup", "mine").stdout == b"execmode: auto\nnvidiamode: False\n"
    done = udocker("setup", "--execmode=P2", "mine")
    assert done.stderr == b"Info: execmode P2 of mine is udockpy's engine ptrace\n"
    assert udocker("setup", "mine").stdout.startswith(b"execmode: P2\n")
    with subprocess.Popen(
        [udocker_program(udockpy), "run", "mine", "sh", "-c", "echo; read x"],
        env=udockpy.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        engines = [row["engine"] for row in json.loads(udockpy.output("ps", "--json"))]
        process.stdin.close()
    assert engines == ["ptrace"]
    assert "P2" in udocker("ps", "-m").stdout.decode().splitlines()[1].split()
    assert b"invalid execmode: X1" in udocker("setup", "--execmode=X1", "mine").stderr
    default = udocker("setup", "--force", "mine", UDOCKER_DEFAULT_EXECUTION_MODE="F1")
    assert default.stdout.startswith(b"execmode: P2\n")


def test_what_udocker_has_and_we_have_not_is_refused_by_name(
    udocker: Udocker, imported: str
) -> None:
    for words, name in {
        ("search", "x"): "search",
        ("rmname", "x"): "rmname",
        ("mkrepo", "x"): "mkrepo",
        ("run", "--platform=linux/arm64", imported, "true"): "--platform",
        ("import", "--tocontainer", "x.tar"): "--tocontainer",
    }.items():
        done = udocker(*words)
        assert done.returncode == 1
        assert f"{name} is not supported by udockpy" in done.stderr.decode()
    done = udocker("run", "--rm", "-p", "80:80", imported, "true")
    assert (done.returncode, done.stderr[:32]) == (0, b"Warning: --publish has no effect")
    assert udocker("nosuch").stderr == b"Error: invalid command: nosuch\n"
    assert udocker("run", "--nosuch", imported).returncode == 1


def test_images_of_registries_are_pulled_and_saved(
    udocker: Udocker, udockpy: Udockpy, zoo: Zoo
) -> None:
    reference = zoo.reference("base:gz")
    done = udocker("--insecure", "pull", reference)
    assert done.returncode == 0, text(done)
    assert udocker("images").stdout.decode().splitlines()[0] == "REPOSITORY"
    assert reference in udocker("images").stdout.decode()
    assert "config" in json.loads(udocker("inspect", reference).stdout)
    assert udocker("verify", reference).stdout == b"Info: image Ok\n"
    manifest = json.loads(udocker("--insecure", "manifest", "inspect", reference).stdout)
    assert len(manifest["layers"]) == 1
    assert udocker("tag", reference, "again:1").returncode == 0
    assert "again:1" in udocker("images").stdout.decode()
    assert udocker("protect", "again:1").returncode == 0
    assert udocker("rmi", "again:1").returncode == 1
    assert udocker("unprotect", "again:1").returncode == 0
    assert udocker("rmi", "again:1").returncode == 0
    assert udocker("save", "-o", "x.tar", reference).returncode == 0
    assert udocker("rmi", reference).returncode == 0
    loaded = udocker("load", "-i", "x.tar")
    assert loaded.stdout.decode().strip() == reference
    assert udocker("run", "--rm", reference, "cat", "/etc/issue").stdout == b"zoo\n"
    settings = {"UDOCKPY_INSECURE_REGISTRIES": zoo.registries.http}
    assert udocker("rmi", reference).returncode == 0
    assert (
        udocker("run", "--rm", reference, "/bin/cat", "/etc/issue", **settings).stdout == b"zoo\n"
    )


def test_udockers_directory_has_ours_in_it(udocker: Udocker, imported: str, tmp_path: Path) -> None:
    assert udocker("ps").returncode == 0
    other = tmp_path / "other"
    listed = udocker("images", UDOCKER_DIR=str(other))
    assert listed.stdout == b"REPOSITORY\n"
    assert udocker(f"--repo={other}", "run", imported).returncode == 1


def test_version_and_help(udocker: Udocker) -> None:
    assert udocker("--version").stdout.startswith(b"version: 1.3")
    assert udocker().returncode == 0
    assert udocker("run", "--help").returncode == 0
    assert udocker("install").returncode == 0
