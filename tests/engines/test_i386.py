"""Programs of 32 bits: a guest of them, and both word sizes in one guest. Under ptrace, which has a
helper for them, with and without filters; the other engines say no before anything runs.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Callable

import pytest
from conftest import product_for
from support.limits import lacks
from support.product import ENGINE_REFUSED, Product, text
from support.world import World
from test_guests import EXPECTED, SCRIPT
from test_ptrace import BARE

MAKEDEB = Path(__file__).parent.parent / "guests/makedeb.sh"
LIBRARIES = "usr/lib/i386-linux-gnu"
MIXED = """
set -e
who() { readlink /proc/$$/exe; }
who
/usr/bin/bash32 -ec '
    readlink /proc/$$/exe
    /bin/bash -c "readlink /proc/\\$\\$/exe; ls32 -d /etc/passwd; exit 7" || echo status=$?
    umask 027; echo x >/root/made; chown 5:6 /root/made
    exec /bin/stat -c "%u:%g %a" /root/made'
perl32 -e 'fork ? wait : exec("/bin/true"); print $? >> 8, "\\n"; print readlink("/proc/self/exe")'
"""


@pytest.fixture(params=[(), BARE], ids=["filtered", "bare"])
def ptrace(
    request: pytest.FixtureRequest,
    world: World,
    scratch: Path,
    allowed: dict[str, subprocess.CompletedProcess[bytes]],
) -> Product:
    product = product_for("ptrace", world, scratch / "home", allowed)
    return replace(product, lock=request.param)


@pytest.mark.parametrize("options", [[], ["--root"]], ids=["user", "root"])
def test_debian(ptrace: Product, world: World, options: list[str]) -> None:
    done = ptrace.run(world.guest("i386"), "/bin/bash", "-c", SCRIPT, options=options)
    assert done.stdout.decode() == EXPECTED, text(done)
    assert done.returncode == 0
    done = ptrace.shell(world.guest("i386"), "apt-get --version", options=options)
    assert done.stdout.startswith(b"apt "), text(done)
    assert b"(i386)" in done.stdout


def test_a_package_with_owners_and_set_id_bits(
    ptrace: Product, own_guest: Callable[[str], Path]
) -> None:
    sandbox = own_guest("i386")
    shutil.copyfile(MAKEDEB, sandbox / "root/makedeb.sh")
    done = ptrace.shell(sandbox, "sh /root/makedeb.sh", options=["--root"], timeout=120)
    assert done.stdout == b"0:0 4755\n6:7 700\n1\n", text(done)


def test_both_word_sizes_start_each_other(
    ptrace: Product, world: World, own_guest: Callable[[str], Path]
) -> None:
    sandbox, narrow = own_guest("bookworm"), world.guest("i386")
    shutil.copytree(narrow / LIBRARIES, sandbox / LIBRARIES, symlinks=True)
    (sandbox / "usr/lib/ld-linux.so.2").symlink_to("i386-linux-gnu/ld-linux.so.2")
    for name in ("bash", "ls", "perl"):
        shutil.copy2(narrow / "usr/bin" / name, sandbox / "usr/bin" / f"{name}32")
    done = ptrace.run(sandbox, "/bin/bash", "-c", MIXED, options=["--root"], timeout=60)
    assert done.stdout.decode().splitlines() == [
        *("/usr/bin/bash", "/usr/bin/bash32", "/usr/bin/bash", "/etc/passwd", "status=7"),
        *("5:6 640", "0", "/usr/bin/perl32"),
    ], text(done)


def test_the_hosts_files_are_not_read(engine: Product, world: World, scratch: Path) -> None:
    """The guest's program reads its own files, or does not run: under every engine."""
    marker = scratch / "marker"
    marker.write_text("the host's\n")
    found = engine.run(world.guest("i386"), "/bin/cat", str(marker))
    assert b"the host's" not in found.stdout + found.stderr
    assert found.returncode in (1, ENGINE_REFUSED), text(found)
    if lacks(engine.engine, "i386"):
        assert b"is a program for i386" in found.stderr
        assert b"hint: " in found.stderr
    else:
        assert found.returncode == 1
        assert b"No such file" in found.stderr
        assert engine.output(world.guest("i386"), "/bin/cat", "/etc/debian_version")
