"""The user of a sandbox can always remove it with rm -rf."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Callable

from support.product import Product, text
from support.world import PROGRAMS

MESS = """
mkdir -p /mess/a/b/c; cd /mess; echo x >a/b/c/file; chmod 0 a/b/c; chmod 0 a/b; chown -R 1:1 a
mkdir closed; echo x >closed/f; chown 0:0 closed; chmod 700 closed; mkdir sticky
chmod 1777 sticky; mkdir none; chmod 0 none
mknod dev c 1 3; mkfifo fifo; echo x >setuid; chown 5:5 setuid; chmod 4000 setuid
ln -s /nowhere link
umask 0777; mkdir masked; echo x >masked-file; mkdir masked/sub; true
"""


def removed(sandbox: Path) -> None:
    done = subprocess.run(["rm", "-rf", "--", str(sandbox)], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not sandbox.exists()


def test_after_a_pretended_root(engine: Product, sandbox: Path) -> None:
    done = engine.shell(sandbox, MESS, options=["--root"])
    assert (done.returncode, done.stderr) == (0, b""), text(done)
    removed(sandbox)


def test_after_an_ordinary_user(engine: Product, sandbox: Path) -> None:
    done = engine.shell(
        sandbox, "mkdir -p /mess/a; echo x >/mess/a/f; ln -s x /mess/l; mkfifo /mess/p"
    )
    assert done.returncode == 0, text(done)
    removed(sandbox)


def test_after_binds_nothing_of_the_host_is_removed(
    engine: Product, sandbox: Path, scratch: Path
) -> None:
    given = scratch / "given"
    given.mkdir()
    (given / "keep").write_text("kept")
    done = engine.shell(
        sandbox,
        "ls /new/place /proc/sys /dev >/dev/null",
        options=["--bind", f"{given}:/new/place"],
    )
    assert done.returncode == 0, text(done)
    removed(sandbox)
    assert (given / "keep").read_text() == "kept"


def test_a_debian_that_dpkg_worked_in(engine: Product, own_guest: Callable[[str], Path]) -> None:
    sandbox = own_guest("bookworm")
    done = engine.run(sandbox, f"{PROGRAMS}/makedeb.sh", options=["--root"])
    assert done.stdout.decode() == "0:0 4755\n6:7 700\n1\n", text(done)
    removed(sandbox)
