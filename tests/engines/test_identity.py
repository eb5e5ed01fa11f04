"""Who a guest believes to be: its user, a pretended root, somebody else."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from support.product import ENGINE_REFUSED, Product, text
from support.world import missing

MODES = "stat -c '%n %u:%g %a %F' *"


def test_the_user_stays_himself(engine: Product, small: Path) -> None:
    done = engine.shell(small, "id -u; id -g; stat -c %u /proc/self/")
    uid = str(os.getuid())
    assert done.stdout.decode().split() == [uid, str(os.getgid()), uid], text(done)


def test_the_user_has_a_name(engine: Product, small: Path) -> None:
    """Without anything written into the image."""
    before = (small / "etc" / "passwd").read_bytes()
    done = engine.shell(small, "whoami; id -un; echo ~")
    name = pwd.getpwuid(os.getuid()).pw_name
    assert done.stdout.decode().split()[:2] == [name, name], text(done)
    assert (small / "etc" / "passwd").read_bytes() == before


def test_pretended_root(engine: Product, sandbox: Path) -> None:
    script = "id -u; id -g; whoami; echo $HOME; pwd"
    done = engine.shell(sandbox, script, options=["--root"])
    assert done.stdout.decode().split() == ["0", "0", "root", "/root", "/"], text(done)


def test_owners_and_modes_survive_the_run(engine: Product, sandbox: Path) -> None:
    """What one run sets, the next one sees; and the real files stay the user's own and
    removable."""
    make = """
        mkdir /t; cd /t
        echo x >file; chown 12:34 file; chmod 4711 file
        mkdir dir; chown 5:6 dir; chmod 1777 dir; mkdir none; chmod 0 none
        mknod null c 1 3; mknod disk b 7 1; mkfifo fifo; ln -s file link; chown -h 7:8 link
        ln file hard
    """
    done = engine.shell(sandbox, make, options=["--root"])
    assert (done.returncode, done.stderr) == (0, b""), text(done)
    done = engine.shell(sandbox, f"cd /t; {MODES}; stat -c '%t:%T' null disk", options=["--root"])
    assert done.stdout.decode().splitlines() == [
        "dir 5:6 1777 directory",
        "disk 0:0 644 block special file",
        "fifo 0:0 644 fifo",
        "file 12:34 4711 regular file",
        "hard 12:34 4711 regular file",
        "link 7:8 777 symbolic link",
        "none 0:0 0 directory",
        "null 0:0 644 character special file",
        "1:3",
        "7:1",
    ], text(done)
    for path in (sandbox / "t").iterdir():
        about = path.lstat()
        assert about.st_uid == os.getuid()
        assert stat.S_ISLNK(about.st_mode) or not about.st_mode & 0o6000
        if path.name in ("file", "dir", "none"):
            assert about.st_mode & 0o600 == 0o600


def test_dropping_rights(engine: Product, sandbox: Path) -> None:
    """su and setpriv exist in no busybox of ours; a set-id program does it too."""
    script = """
        cp /opt/udockpy/torture-musl /bin/ids; chown 1:1 /bin/ids; chmod 6755 /bin/ids
        /bin/ids --ids; echo
        chmod 755 /bin/ids; /bin/ids --ids
    """
    done = engine.shell(sandbox, script, options=["--root"])
    lines = done.stdout.decode().splitlines()
    assert lines[0].startswith("uid=0,1,1 gid=0,1,1"), text(done)
    assert lines[1].startswith("uid=0,0,0 gid=0,0,0"), text(done)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("root", "0:0"),
        ("daemon", "1:1"),
        ("nobody", "65534:65534"),
        ("1234", "1234:0"),
        ("1234:5678", "1234:5678"),
        ("daemon:nogroup", "1:65534"),
        ("0:7", "0:7"),
    ],
)
def test_another_user(engine: Product, sandbox: Path, word: str, expected: str) -> None:
    done = engine.shell(sandbox, 'echo "$(id -u):$(id -g)"', options=["--user", word])
    assert done.stdout.decode().strip() == expected, text(done)


def test_another_user_has_no_more_rights_than_his_own(engine: Product, sandbox: Path) -> None:
    engine.shell(
        sandbox, "echo x >/secret; chmod 600 /secret; mkdir -m 777 /open", options=["--root"]
    )
    script = (
        "cat /secret 2>&1; echo x 2>&1 >/new; echo x >/open/mine; stat -c %u /open/mine; "
        "chown 0 /open/mine 2>&1"
    )
    done = engine.shell(sandbox, script, options=["--user", "1234:5678"])
    lines = done.stdout.decode().splitlines()
    assert "denied" in lines[0], text(done)
    assert "denied" in (lines[1] + done.stderr.decode()), text(done)
    assert "1234" in lines, text(done)
    assert "not permitted" in lines[-1], text(done)


def test_read_only_root_filesystem(engine: Product, sandbox: Path) -> None:
    for options in (["--read-only"], ["--read-only", "--root"]):
        done = engine.shell(
            sandbox,
            "echo x >/new; mkdir /d; rm /etc/os-release; chown 1:1 /etc/os-release; echo alive",
            options=options,
        )
        assert done.stdout == b"alive\n", text(done)
        assert done.stderr.count(b"Read-only file system") == 4, text(done)
    assert (sandbox / "etc" / "os-release").exists()
    assert not (sandbox / "new").exists()


def test_root_of_mapped_ids(userns: Product, sandbox: Path) -> None:
    """With subordinate ids root is the kernel's: it has its rights, and changes owners for real."""
    mapped = replace(userns, settings={"UDOCKPY_MAP_SUBUIDS": "yes"})
    script = """
        echo x >/file; chown 5:6 /file; stat -c %u:%g /file
        grep -c 'CapEff:.*0000$' /proc/self/status
    """
    done = mapped.shell(sandbox, script, options=["--root"])
    if done.returncode == ENGINE_REFUSED:
        missing(f"subordinate ids: {text(done)}")
    assert done.stdout.decode().split() == ["5:6", "0"], text(done)
    assert (sandbox / "file").stat().st_uid not in (0, 5, os.getuid())
