"""--root and --user: what a pretended root does is remembered, and all stays the user's own."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from command import Udockpy


@pytest.fixture(params=["userns", "trap", "ptrace"])
def root(request: pytest.FixtureRequest, udockpy: Udockpy, box: Path) -> Udockpy:
    """Each engine in turn, unless this node rules it out."""
    udockpy.environ["UDOCKPY_ENGINE"] = request.param
    tried = udockpy("run", "--root", box, "true")
    if tried.returncode == 123:
        pytest.skip(tried.stderr.decode())
    assert tried.returncode == 0, tried.stderr.decode()
    return udockpy


def test_root_is_root(root: Udockpy, box: Path) -> None:
    assert (
        root.output("run", "--root", box, "sh", "-c", "id -u; id -g; echo $HOME; pwd")
        == "0\n0\n/root\n/"
    )


def test_the_users_files_are_not_shown_to_root(root: Udockpy, box: Path) -> None:
    (root.cwd / "mine").write_text("")
    assert root("run", "--root", box, "ls", root.cwd).returncode != 0


def test_owners_modes_and_devices_are_remembered(root: Udockpy, box: Path) -> None:
    script = "touch /f; chown 12:34 /f; chmod 4711 /f; mknod /n c 5 1; chown 33 /var/www"
    root.output("run", "--root", box, "sh", "-c", script)
    shown = root.output(
        "run", "--root", box, "stat", "-c", "%n %u:%g %a %F %t,%T", "/f", "/n", "/var/www", "/etc"
    )
    assert shown.splitlines() == [
        "/f 12:34 4711 regular empty file 0,0",
        "/n 0:0 644 character special file 5,1",
        "/var/www 33:0 755 directory 0,0",
        "/etc 0:0 755 directory 0,0",
    ]
    assert {os.stat(path).st_uid for path in box.rglob("*") if not path.is_symlink()} == {
        os.getuid()
    }
    with tarfile.open(fileobj=io.BytesIO(root("export", box).stdout)) as archive:
        f, n = archive.getmember("./f"), archive.getmember("./n")
    assert (f.uid, f.gid, f.mode) == (12, 34, 0o4711)
    assert (n.type, n.devmajor, n.devminor) == (tarfile.CHRTYPE, 5, 1)
    shutil.rmtree(box)


def test_what_an_archive_says_is_what_root_sees(root: Udockpy, box: Path) -> None:
    root.output("run", "--root", box, "sh", "-c", "chown 7:8 /etc/issue; chmod 4755 /bin/busybox")
    root.output("export", "-o", "out.tar", box)
    root.output("import", "out.tar", "again")
    container = root.output("create", "again")
    for target in (container, "again"):
        shown = root.output(
            "exec", "--root", target, "stat", "-c", "%u:%g %a", "/etc/issue", "/bin/busybox"
        )
        assert shown == "7:8 644\n0:0 4755"


@pytest.mark.parametrize(
    ("user", "ids"),
    [("www", "33 33"), ("33:0", "33 0"), ("4242:4243", "4242 4243"), ("root", "0 0")],
)
def test_another_user(root: Udockpy, box: Path, user: str, ids: str) -> None:
    assert root.output("run", "-u", user, box, "sh", "-c", "echo $(id -u) $(id -g)") == ids


def test_other_users_home_is_theirs(root: Udockpy, box: Path) -> None:
    assert root.output("run", "-u", "www", box, "sh", "-c", "echo $HOME $USER") == "/var/www www"


def test_root_edits_the_guests_own_accounts(root: Udockpy, box: Path) -> None:
    root.output("run", "--root", box, "sh", "-c", "echo new:x:5:5::/:/bin/sh >>/etc/passwd")
    assert "new:x:5:5" in (box / "etc/passwd").read_text()
