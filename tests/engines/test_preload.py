"""What is the preload engine's alone: nodes that allow nothing, and programs that make their system
calls themselves."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Callable

import pytest
from conftest import product_for
from support.product import Product, text
from support.world import PROGRAMS, World

LOCK = ("--no-userns", "--no-ptrace", "--no-seccomp")
SECRET = "udockpy-secret"


@pytest.fixture
def locked(
    world: World, scratch: Path, allowed: dict[str, subprocess.CompletedProcess[bytes]]
) -> Product:
    """The engine on a node without user namespaces, ptrace and filters."""
    product_for("preload", world, scratch / "home", allowed)
    return Product("preload", scratch / "home", lock=LOCK)


@pytest.mark.parametrize("name", ["bookworm", "bullseye", "trixie", "sid", "musl", "static"])
def test_pretended_root_where_nothing_is_allowed(locked: Product, world: World, name: str) -> None:
    script = (
        "id -u; cd /opt/udockpy/work; echo x >mine-$$; chown 33:44 mine-$$; chmod 4750 mine-$$; "
        "stat -c %u:%g:%a mine-$$; rm mine-$$"
    )
    done = locked.run(world.guest(name), "/bin/sh", "-c", script, options=["--root"])
    assert done.stdout == b"0\n33:44:4750\n", text(done)


def test_it_is_chosen_where_nothing_else_is_allowed(locked: Product, small: Path) -> None:
    auto = Product("auto", locked.home, lock=LOCK)
    done = auto.run(small, "/bin/true", options=["--verbose"])
    assert done.returncode == 0, text(done)
    assert b"engine preload (userns: " in done.stderr, text(done)


def test_a_package_is_installed(
    locked: Product, world: World, own_guest: Callable[[str], Path]
) -> None:
    sandbox = own_guest("bookworm")
    deb = next(world.debs().glob("less_*.deb"))
    (sandbox / "var/cache/apt/archives" / deb.name).write_bytes(deb.read_bytes())
    script = f"""
        set -e
        apt-get -y --no-download -o Debug::NoLocking=0 install /var/cache/apt/archives/{deb.name}
        dpkg --audit
        dpkg -V less
        dpkg-query -W -f '${{Status}}\\n' less
        stat -c %U:%G:%a /usr/bin/less
    """
    done = locked.run(sandbox, "/bin/sh", "-c", script, options=["--root"], timeout=300)
    assert done.returncode == 0, text(done)
    assert done.stdout.endswith(b"install ok installed\nroot:root:755\n"), text(done)


@pytest.mark.parametrize("options", [(), ("--root",)], ids=["user", "root"])
def test_static_go_does_not_read_the_hosts_files(
    locked: Product, world: World, scratch: Path, options: tuple[str, ...]
) -> None:
    secret = scratch / "secret"
    secret.write_text(SECRET)
    program = f"{PROGRAMS}/gostatic"
    done = locked.run(world.guest("static"), program, "cat", str(secret), options=options)
    assert done.stdout == f"open {secret}: no such file or directory\n".encode(), text(done)
    done = locked.run(world.guest("static"), program, "cat", "/etc/os-release", options=options)
    assert b"ID=udockpy-static\n" in done.stdout, text(done)


def test_what_was_found_in_a_file_is_kept(locked: Product, small: Path) -> None:
    for _ in range(2):
        done = locked.shell(small, "ls / | grep -c etc")
        assert done.stdout == b"1\n", text(done)
    kept = [path for path in locked.home.rglob("*.sites") if path.stat().st_size]
    assert kept, sorted(locked.home.rglob("*"))


def test_a_file_that_changed_is_looked_at_anew(
    locked: Product, world: World, sandbox: Path, scratch: Path
) -> None:
    """One inode, other content: what was found in the first program must not be used for the
    second."""
    secret = scratch / "secret"
    secret.write_text(SECRET)
    program = sandbox / "bin/program"
    program.write_bytes(world.program("torture-static").read_bytes())
    program.chmod(0o755)
    os.utime(program, (0, 0))
    time.sleep(2.1)  # younger files are not kept
    for _ in range(2):
        assert locked.run(sandbox, "/bin/program", "--exit", "42").returncode == 42
    program.write_bytes((world.guest("static") / PROGRAMS[1:] / "gostatic").read_bytes())
    done = locked.run(sandbox, "/bin/program", "cat", str(secret))
    assert done.stdout == f"open {secret}: no such file or directory\n".encode(), text(done)
