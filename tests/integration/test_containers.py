"""clone, rename, cp, ps, stop, rm, and exec into what runs."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import Udockpy

from udockpy.store import running


@pytest.fixture
def container(udockpy: Udockpy, image: str) -> str:
    return udockpy.output("create", "--name", "work", image)


@contextmanager
def guest(udockpy: Udockpy, *words: str, script: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A guest that has begun and waits."""
    command = ("sh", "-c", f"{script} echo begun; exec sleep 60")
    with subprocess.Popen(
        udockpy.words(*words, *command),
        cwd=udockpy.cwd,
        env=udockpy.environ,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"begun\n"
            yield process
        finally:
            process.kill()


def owners(udockpy: Udockpy, container: str, path: str) -> dict[str, tuple[int, int, int]]:
    """What a guest sees: name -> owner, group and mode."""
    script = 'find "$0" -exec stat -c "%u %g %a %n" {} +'
    words = ("exec", "--root", container, "busybox", "sh", "-c", f"busybox {script}", path)
    rows = (line.split(maxsplit=3) for line in udockpy.output(*words).splitlines())
    return {name: (int(uid), int(gid), int(mode, 8)) for uid, gid, mode, name in rows}


def test_a_clone_is_of_the_same_image(udockpy: Udockpy, container: str) -> None:
    udockpy.output("exec", "--root", "work", "sh", "-c", "echo new >/etc/issue; chown 3:4 /etc")
    clone = udockpy.output("clone", "--name", "other", "work")
    udockpy.output("exec", "work", "sh", "-c", "echo newer >/etc/issue")
    assert udockpy.output("exec", "other", "cat", "/etc/issue") == "new"
    assert owners(udockpy, clone, "/etc")["/etc"][:2] == (3, 4)
    rows = {row["name"]: row for row in json.loads(udockpy.output("ps", "-a", "--json"))}
    assert rows["other"]["image"] == rows["work"]["image"] == "small"
    assert "the name is taken" in udockpy.refusal("clone", "--name", "work", clone)


def test_a_container_gets_another_name(udockpy: Udockpy, container: str, image: str) -> None:
    udockpy.output("create", "--name", "taken", image)
    assert "the name is taken" in udockpy.refusal("rename", "work", "taken")
    assert "bad name" in udockpy.refusal("rename", "work", "a/b")
    udockpy.output("rename", "work", "better")
    assert udockpy.output("exec", "better", "cat", "/etc/issue") == "guest"
    assert "no such" in udockpy.refusal("exec", "work", "true")
    unnamed = udockpy.output("create", image)
    udockpy.output("rename", unnamed, "work")
    udockpy.output("rm", "better", "work", "taken")
    assert os.listdir(udockpy.home / "names") == []


def test_a_rename_that_was_killed_half_way(udockpy: Udockpy, container: str) -> None:
    (udockpy.home / "names/half").symlink_to(f"../containers/{container}")
    assert "names/half" in udockpy.output("gc")
    assert os.listdir(udockpy.home / "names") == ["work"]


def test_what_runs_is_listed_and_kept(udockpy: Udockpy, container: str) -> None:
    with guest(udockpy, "run", "work") as process:
        (row,) = json.loads(udockpy.output("ps", "--json"))
        assert (row["pid"], row["target"], row["name"]) == (process.pid, container, "work")
        assert row["engine"] in ("userns", "trap", "ptrace", "preload")
        assert f"runs: {process.pid}" in udockpy.output("ps", "-a")
        said = udockpy.refusal("rm", "work")
        assert f"process {process.pid} runs in it" in said
        udockpy.output("exec", "--root", "work", "sh", "-c", "echo seen >/etc/by")
        assert udockpy.output("exec", "work", "cat", "/etc/by") == "seen"
        udockpy.output("rm", "-f", "work")
        assert process.wait(20) == -signal.SIGKILL
    assert udockpy.output("ps", "-a", "--json") == "[]"
    assert udockpy.state() == ["imported/small"]


def test_a_forced_removal_ends_what_was_started_too(udockpy: Udockpy, image: str) -> None:
    words = ("run", "--rm", "--name", "brief", image)
    script = "sleep 61 & echo $! >/tmp/child;"
    with guest(udockpy, *words, script=script) as process:
        udockpy.output("rm", "-f", "brief")
        assert process.wait(20) == -signal.SIGKILL
    left = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if is_sleeper(udockpy, pid)]
    assert left == []
    assert udockpy.state() == ["imported/small"]


def is_sleeper(udockpy: Udockpy, pid: str) -> bool:
    try:
        environ = Path("/proc", pid, "environ").read_bytes()
        command = Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return False
    return os.fsencode(udockpy.home) in environ and command.endswith(b"61\0")


@pytest.mark.parametrize("options", [(), ("--rm",)])
def test_what_runs_is_asked_to_stop(udockpy: Udockpy, image: str, options: tuple[str]) -> None:
    with guest(udockpy, "run", *options, "--name", "first", image) as process:
        udockpy.output("stop", "first")
        assert process.wait(20) in (-signal.SIGTERM, 128 + signal.SIGTERM)
    script = "trap 'echo heard' TERM; echo begun; while :; do sleep 1; done;"
    begun = time.monotonic()
    with guest(udockpy, "run", *options, "--name", "second", image, script=script) as process:
        udockpy.output("stop", "-t", "1", "second")
        assert process.wait(20) == -signal.SIGKILL
        assert process.stdout is not None
        assert b"heard" in process.stdout.read()
    assert 1 <= time.monotonic() - begun < 20


def test_a_pid_that_is_somebody_else_s_is_let_alone(udockpy: Udockpy, container: str) -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        folder = udockpy.home / "run" / Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        folder.mkdir(parents=True)
        fields = (str(bystander.pid), "1", "trap", container, "sh")
        (folder / str(bystander.pid)).write_text("\0".join(fields))
        udockpy.output("rm", "-f", "work")
        assert running.start_time(bystander.pid) is not None
        bystander.kill()


# --- cp ---


@pytest.fixture
def files(udockpy: Udockpy) -> Path:
    """A directory of the host's."""
    top = udockpy.cwd / "files"
    (top / "sub").mkdir(parents=True)
    (top / "one").write_text("one")
    (top / "sub/two").write_text("two")
    (top / "one").chmod(0o751)
    os.link(top / "one", top / "sub/again")
    (top / "link").symlink_to("sub/two")
    os.utime(top / "one", ns=(10**9, 1_600_000_000_123_456_789))
    return top


def test_files_come_in_as_root_s(udockpy: Udockpy, container: str, files: Path) -> None:
    udockpy.output("cp", files, "work:/opt")
    assert udockpy.output("exec", "work", "cat", "/opt/link", "/opt/sub/again") == "twoone"
    found = owners(udockpy, container, "/opt")
    assert {owner[:2] for owner in found.values()} == {(0, 0)}
    assert found["/opt/one"][2] == 0o751
    root = udockpy.home / "containers" / container / "rootfs"
    assert (root / "opt/one").stat().st_mtime_ns == 1_600_000_000_123_456_789
    assert (root / "opt/one").samefile(root / "opt/sub/again")


@pytest.mark.parametrize(
    ("source", "target", "made"),
    [
        ("files/one", "work:/new", "/new"),
        ("files/one", "work:new", "/new"),
        ("files/one", "work:/etc", "/etc/one"),
        ("files/one", "work:/etc/", "/etc/one"),
        ("files/one", "work:/etc/issue", "/etc/issue"),
        ("files/one", "work:/in/issue", "/etc/issue"),
        ("files/sub", "work:/etc", "/etc/sub/two"),
        ("files/sub", "work:/new", "/new/two"),
        ("files/sub/", "work:/new/", "/new/two"),
        ("files/sub/.", "work:/etc", "/etc/two"),
        ("files/.", "work:/new", "/new/sub/two"),
    ],
)
def test_where_files_come_to(
    udockpy: Udockpy, container: str, files: Path, source: str, target: str, made: str
) -> None:
    udockpy.output("exec", "work", "busybox", "ln", "-s", "/etc", "/in")
    udockpy.output("cp", source, target)
    content = "two" if made.endswith("two") else "one"
    assert udockpy.output("exec", "work", "cat", made) == content
    # Out again by the same rules.
    back = udockpy.cwd / "back"
    back.mkdir()
    udockpy.output("cp", f"work:{made}", back)
    assert os.listdir(back) == [os.path.basename(made)]


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("files/none", "work:/etc", "no such file or directory"),
        ("work:/none", ".", "no such file or directory"),
        ("files/one", "work:/none/sub", "no such directory"),
        ("files/one", "work:/none/", "no such directory"),
        ("files/sub", "work:/etc/issue", "a file, where a directory is to be"),
        ("files/one", "none:/etc", "no such container"),
        ("files/one", "files/two", "one of the two must be in a container"),
        ("work:/etc", "work:/new", "one of the two must be in a container"),
        ("work:/etc/issue", "files/sub/as", "a directory is there"),
        ("-", "work:/etc/issue", "no such directory"),
    ],
)
def test_what_cannot_be_copied(
    udockpy: Udockpy, container: str, files: Path, source: str, target: str, said: str
) -> None:
    (files / "sub/as/issue").mkdir(parents=True)
    assert said in udockpy.refusal("cp", source, target)


def test_devices_and_set_id_bits_do_not_get_out(udockpy: Udockpy, container: str) -> None:
    script = "mknod /opt c 1 3; echo x >/etc/su; chown 7 /etc/su; chmod 4755 /etc/su"
    udockpy.output("exec", "--root", "work", "sh", "-c", script)
    assert "only root can make devices" in udockpy.refusal("cp", "work:/opt", ".")
    assert not (udockpy.cwd / "opt").exists()
    udockpy.output("cp", "work:/etc/su", ".")
    found = (udockpy.cwd / "su").stat()
    assert (found.st_uid, found.st_mode & 0o7777) == (os.getuid(), 0o755)


def test_links_that_lead_out_lead_nowhere(udockpy: Udockpy, container: str, files: Path) -> None:
    outside = udockpy.cwd / "outside"
    outside.mkdir()
    for name, leads in (("up", "../../../../../.."), ("far", str(outside))):
        udockpy.output("exec", "work", "busybox", "ln", "-s", leads, f"/{name}")
    assert "no such directory" in udockpy.refusal("cp", files / "one", "work:/far/new")
    udockpy.output("cp", files / "one", "work:/up/new")
    assert udockpy.output("exec", "work", "cat", "/new") == "one"
    assert "no such file" in udockpy.refusal("cp", f"work:/up{files}/one", "gone")
    udockpy.output("cp", "-L", "work:/up", "copied")
    assert (udockpy.cwd / "copied/etc/issue").read_text() == "guest\n"
    assert os.listdir(outside) == []


def test_streams_keep_the_owners_of_the_guest(udockpy: Udockpy, container: str) -> None:
    script = (
        "mkdir /srv; mknod /srv/null c 1 3; touch /srv/f; chown 12:34 /srv/f; chmod 4711 /srv/f"
    )
    udockpy.output("exec", "--root", "work", "sh", "-c", script)
    content = udockpy("cp", "work:/srv", "-").stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = {member.name.removeprefix("./"): member for member in archive}
    assert sorted(found) == ["srv", "srv/f", "srv/null"]
    assert (found["srv/f"].uid, found["srv/f"].gid, found["srv/f"].mode) == (12, 34, 0o4711)
    assert found["srv/null"].type == tarfile.CHRTYPE
    udockpy.output("cp", "-a", "-", "work:/etc", input=content)
    assert owners(udockpy, container, "/etc/srv")["/etc/srv/f"] == (12, 34, 0o4711)
    udockpy.output("cp", "-", "work:/root", input=content)
    assert owners(udockpy, container, "/root/srv")["/root/srv/f"] == (0, 0, 0o4711)


def test_what_is_copied_in_is_no_other_container_s(
    udockpy: Udockpy, container: str, image: str, files: Path
) -> None:
    other = udockpy.output("create", image)
    udockpy.output("cp", files / "one", "work:/etc/issue")
    assert udockpy.output("exec", other, "cat", "/etc/issue") == "guest"
    assert udockpy.output("exec", image, "cat", "/etc/issue") == "guest"
