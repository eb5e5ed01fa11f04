"""The promise of the product, kept on a node without user namespaces, mounts and ptrace.

There an ordinary user installs real packages as pretended root, and runs them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
from conftest import product_for
from support.product import LOCKDOWN, Product, text
from support.world import PROGRAMS, World, copy_with_debs, remove_tree

LOCK = ("--no-userns", "--no-mount", "--no-ptrace")
FIRST = ["openssh-server", "man-db", "git", "python3", "gcc", "dbus"]
SECOND = ["default-jre-headless", "nodejs", "perl", "make", "libc6-dev"]
HELPER = "/usr/lib/dbus-1.0/dbus-daemon-launch-helper"
DBUS = [
    *("dbus_", "dbus-bin", "dbus-daemon", "dbus-session", "dbus-system"),
    *("libapparmor", "libdbus", "libexpat"),
]
INSTALL = ("-y", "--no-install-recommends", "install")

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Where the one large sandbox of this module lives. In /var/tmp, for it needs a gigabyte."""
    path = Path(f"/var/tmp/udockpy-packages-{os.getpid()}")
    path.mkdir()
    yield path
    remove_tree(path)


@pytest.fixture(scope="module")
def node(
    world: World, place: Path, allowed: dict[str, subprocess.CompletedProcess[bytes]]
) -> Product:
    """The trap engine on a node that forbids the rest."""
    product_for("trap", world, place / "home", allowed)
    return Product("trap", place / "home", lock=LOCK)


@pytest.fixture(scope="module")
def installed(node: Product, world: World, place: Path) -> Path:
    """The sandbox after apt-get install, with apt's own sandbox user."""
    sandbox = place / "sandbox"
    copy_with_debs(world, sandbox)
    environ = node.environment(DEBIAN_FRONTEND="noninteractive")
    options = ["--root", "-e", "DEBIAN_FRONTEND"]
    update = node.run(sandbox, "apt-get", "update", options=options, environ=environ, timeout=180)
    assert update.returncode == 0, text(update)
    assert b"W:" not in update.stderr, text(update)
    assert b"E:" not in update.stderr, text(update)
    for packages in (FIRST, SECOND):
        done = node.run(
            sandbox, "apt-get", *INSTALL, *packages, options=options, environ=environ, timeout=400
        )
        assert done.returncode == 0, text(done)
        for complaint in (b"E: ", b"W: ", b"dpkg: error", b"dpkg: warning"):
            assert complaint not in done.stderr + done.stdout, text(done)
    return sandbox


def inside(node: Product, sandbox: Path, script: str, timeout: float = 120) -> str:
    done = node.run(sandbox, "/bin/bash", "-euc", script, options=["--root"], timeout=timeout)
    assert done.returncode == 0, text(done)
    return done.stdout.decode()


def test_the_node_is_locked() -> None:
    """Without this nothing below would prove anything."""
    for command in (
        ["unshare", "-U", "true"],
        ["unshare", "-Ur", "true"],
        ["unshare", "-m", "true"],
    ):
        locked = [sys.executable, str(LOCKDOWN), *LOCK, "--", *command]
        done = subprocess.run(locked, stderr=subprocess.PIPE, check=False)
        assert done.returncode != 0
        assert b"not permitted" in done.stderr


def test_the_database_is_clean(node: Product, installed: Path) -> None:
    assert inside(node, installed, "dpkg --audit; apt-get check -qq") == ""
    states = inside(node, installed, "dpkg-query -W -f '${Status}\\n' | sort | uniq -c")
    assert len(states.splitlines()) == 1
    assert "install ok installed" in states


def test_owners_and_modes_are_as_packaged(node: Product, installed: Path) -> None:
    """What a real root's installation has; the set-id bits exist only in what is remembered."""
    expected = {
        HELPER: "0:messagebus 4754",
        "/usr/lib/openssh/ssh-keysign": "0:root 4755",
        "/usr/bin/ssh-agent": "0:_ssh 2755",
        "/var/cache/man": "6:man 755",
        "/var/lib/dbus": "0:root 755",
    }
    lines = inside(node, installed, f"stat -c '%n %u:%G %a' {' '.join(expected)}").splitlines()
    assert dict(line.split(" ", 1) for line in lines) == expected
    assert inside(node, installed, "ls /var/cache/man | grep -c index.db") == "1\n"
    for name in expected:
        assert not (installed / name[1:]).stat().st_mode & 0o6000


def test_apt_used_its_own_user(node: Product, installed: Path) -> None:
    assert (
        inside(
            node, installed, "stat -c %U /var/lib/apt/lists/partial /var/cache/apt/archives/partial"
        )
        == "_apt\n_apt\n"
    )
    assert (
        inside(node, installed, "apt-config dump APT::Sandbox::User")
        == 'APT::Sandbox::User "_apt";\n'
    )


def test_python(node: Product, installed: Path) -> None:
    output = inside(node, installed, f"echo host >/etc/hostname; python3 {PROGRAMS}/pythonwork.py")
    assert output.splitlines() == [
        "threads 40000",
        "asyncio HELLO True 0",
        "subprocess [0, 7, 255, -9, 127]",
        "fork 328350",
        "spawn 328350",
        "forkserver 328350",
        "ssl True python3",
    ]


def test_a_program_piped_into_python(node: Product, installed: Path) -> None:
    program = b"import sys, os\nprint(sum(range(10)), sys.argv, os.getuid())\n"
    done = node.run(installed, "python3", "-", "x", input=program, options=["--root"])
    assert (done.returncode, done.stdout) == (0, b"45 ['-', 'x'] 0\n"), text(done)


def test_a_small_c_project(node: Product, installed: Path) -> None:
    assert inside(node, installed, f"{PROGRAMS}/cproject.sh") == "part 6\n6\n"


def test_git(node: Product, installed: Path) -> None:
    assert inside(node, installed, f"{PROGRAMS}/gitwork.sh") == "200\n0\nfirst\nclean\n"


def test_perl(node: Product, installed: Path) -> None:
    program = """
        use File::Find; use Socket;
        find(sub { $n++ }, "/usr/share/perl");
        print $n > 100 ? "ok" : "few", " $<\\n";
        exit system("true");
    """
    done = node.run(installed, "perl", "-e", program, options=["--root"])
    assert (done.returncode, done.stdout) == (0, b"ok 0\n"), text(done)


def test_a_java_virtual_machine(node: Product, installed: Path) -> None:
    done = node.run(installed, "java", "-version", options=["--root"], timeout=120)
    assert done.returncode == 0, text(done)
    assert b"OpenJDK" in done.stderr


def test_node(node: Product, installed: Path) -> None:
    script = """
        const fs = require('fs'), child = require('child_process');
        Promise.all([...Array(50).keys()].map(() => fs.promises.readFile('/etc/passwd')))
            .then(all => console.log(all.length, child.execSync('echo child').toString().trim()));
    """
    done = node.run(installed, "node", "-e", script, options=["--root"], timeout=120)
    assert (done.returncode, done.stdout) == (0, b"50 child\n"), text(done)


def test_sshd_with_privilege_separation(node: Product, installed: Path) -> None:
    output = inside(node, installed, f"{PROGRAMS}/sshlogin.sh")
    assert output == "root\n127.0.0.1\nstatus 7\n5\naccepted\n"


def test_dbus(node: Product, installed: Path) -> None:
    assert inside(node, installed, f"{PROGRAMS}/buswork.sh") == "1\n"


def test_man(node: Product, installed: Path) -> None:
    assert inside(node, installed, "mandb -q && man -w true >/dev/null 2>&1; echo $?").strip() in (
        "0",
        "16",
    )


def test_it_can_be_removed_again(node: Product, installed: Path) -> None:
    """The last one: purges a package, then the whole sandbox goes with rm -rf."""
    output = inside(
        node,
        installed,
        "apt-get -y purge git >/dev/null 2>&1; dpkg --audit; command -v git || echo gone",
    )
    assert output == "gone\n"
    done = subprocess.run(["rm", "-rf", str(installed)], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr, installed.exists()) == (0, b"", False)


def test_a_package_under_userns(
    userns: Product, world: World, scratch: Path, own_guest: Callable[[str], Path]
) -> None:
    """The other engine installs too, and what one engine remembers the other one reads."""
    sandbox = own_guest("bookworm")
    for deb in world.debs().glob("*.deb"):
        if deb.name.startswith(tuple(DBUS)):
            shutil.copyfile(deb, sandbox / "root" / deb.name)
    script = f"""
        dpkg -i /root/*.deb >/root/log 2>&1 || cat /root/log
        dpkg --audit; stat -c '%u:%G %a' {HELPER}
    """
    done = userns.run(sandbox, "/bin/bash", "-c", script, options=["--root"], timeout=120)
    assert done.stdout == b"0:messagebus 4754\n", text(done)
    trap = Product("trap", userns.home)
    check = trap.run(
        sandbox,
        "stat",
        "-c",
        "%u:%G %a",
        HELPER,
        options=["--root"],
    )
    assert check.stdout == b"0:messagebus 4754\n", text(check)
