"""The promise of the product: on a node without user namespaces, mounts and ptrace an ordinary user installs real
packages as pretended root, and runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterator

import pytest
from conftest import product_for
from support.product import LOCKDOWN, Product, text
from support.world import PROGRAMS, World, copy_tree, remove_tree

LOCK = ("--no-userns", "--no-mount", "--no-ptrace")
FIRST = "openssh-server man-db git python3 gcc dbus".split()
SECOND = "default-jre-headless nodejs perl make libc6-dev".split()
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
def node(world: World, place: Path, allowed: dict[str, subprocess.CompletedProcess[bytes]]) -> Product:
    """The trap engine on a node that forbids the rest."""
    product_for("trap", world, place / "home", allowed)
    return Product("trap", place / "home", lock=LOCK)


def with_debs(world: World, sandbox: Path) -> Path:
    """A bookworm with the packages in apt's cache, so that only the lists are downloaded."""
    copy_tree(world.guest("bookworm"), sandbox)
    for deb in world.debs().glob("*.deb"):
        shutil.copyfile(deb, sandbox / "var/cache/apt/archives" / deb.name)
    return sandbox


@pytest.fixture(scope="module")
def installed(node: Product, world: World, place: Path) -> Path:
    """The sandbox after apt-get install, with apt's own sandbox user."""
    sandbox = with_debs(world, place / "sandbox")
    environ = node.environment(DEBIAN_FRONTEND="noninteractive")
    options = ["--root", "-e", "DEBIAN_FRONTEND"]
    update = node.run(sandbox, "apt-get", "update", options=options, environ=environ, timeout=180)
    assert update.returncode == 0, text(update)
    assert b"W:" not in update.stderr and b"E:" not in update.stderr, text(update)
    for packages in (FIRST, SECOND):
        done = node.run(sandbox, "apt-get", *INSTALL, *packages, options=options, environ=environ, timeout=400)
        assert done.returncode == 0, text(done)
        for complaint in (b"E: ", b"W: ", b"dpkg: error", b"dpkg: warning"):
            assert complaint not in done.stderr + done.stdout, text(done)
    return sandbox


def inside(node: Product, sandbox: Path, script: str, timeout: float = 120, **how: object) -> str:
    done = node.run(
        sandbox, "/bin/bash", "-euc", script, options=["--root"], timeout=timeout, **how
    )
    assert done.returncode == 0, text(done)
    return done.stdout.decode()


def test_the_node_is_locked() -> None:
    """Without this nothing below would prove anything."""
    for command in (["unshare", "-U", "true"], ["unshare", "-Ur", "true"], ["unshare", "-m", "true"]):
        locked = [sys.executable, str(LOCKDOWN), *LOCK, "--", *command]
        done = subprocess.run(locked, stderr=subprocess.PIPE, check=False)
        assert done.returncode != 0
        assert b"not permitted" in done.stderr


def test_the_database_is_clean(node: Product, installed: Path) -> None:
    assert inside(node, installed, "dpkg --audit; apt-get check -qq") == ""
    states = inside(node, installed, "dpkg-query -W -f '${Status}\\n' | sort | uniq -c")
    assert len(states.splitlines()) == 1 and "install ok installed" in states


def test_owners_and_modes_are_as_packaged(node: Product, installed: Path) -> None:
    """dpkg knows what it unpacked; the programs with set-id bits are those that a real root has."""
    script = "stat -c '%u:%G %a %n' /usr/bin/passwd /usr/bin/chage /etc/shadow /run/sshd /usr/lib/dbus-1.0/dbus-daemon-launch-helper /usr/lib/openssh/ssh-keysign /usr/bin/ssh-agent /var/cache/man 2>&1 || true"
    lines = inside(node, installed, script)
    assert "0:root 4755 /usr/bin/passwd" in lines
    assert "0:messagebus 4754 /usr/lib/dbus-1.0/dbus-daemon-launch-helper" in lines
    assert "0:root 4755 /usr/lib/openssh/ssh-keysign" in lines
    assert "0:_ssh 2755 /usr/bin/ssh-agent" in lines
    assert ":man 755 /var/cache/man" in lines
    assert inside(node, installed, "ls /var/cache/man | grep -c index.db") == "1\n"


def test_apt_used_its_own_user(node: Product, installed: Path) -> None:
    assert inside(node, installed, "stat -c %U /var/lib/apt/lists/partial /var/cache/apt/archives/partial") == "_apt\n_apt\n"
    assert inside(node, installed, "apt-config dump APT::Sandbox::User") == 'APT::Sandbox::User "_apt";\n'


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
    script = r"""
        mkdir -p /src && cd /src
        for n in 1 2 3 4 5 6; do printf '#include <stdio.h>\nint part%d(void) { return printf("part %d\\n"); }\n' $n $n >part$n.c; done
        { for n in 1 2 3 4 5 6; do echo "int part$n(void);"; done; echo 'int main(void) {'; for n in 1 2 3 4 5 6; do echo "part$n();"; done; echo 'return 0; }'; } >main.c
        printf 'program: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tgcc -pthread -o $@ $^\n%%.o: %%.c\n\tgcc -O2 -Wall -Werror -c $<\n' >Makefile
        make -s -j2 && ./program | tail -n 1
        gcc -static -o static main.c part*.c && ./static | wc -l
    """
    assert inside(node, installed, script) == "part 6\n6\n"


def test_git(node: Product, installed: Path) -> None:
    script = """
        cd /root && git init -q --bare hub.git && git clone -q hub.git one 2>/dev/null; cd one
        git config user.name n; git config user.email e@example.org
        for n in $(seq 200); do echo $n >file$n; done; git add . && git commit -qm first && git push -q origin HEAD
        git clone -q file:///root/hub.git ../two; cd ../two; ls | wc -l; git status --short | wc -l; git log --format=%s
        git gc -q && git fsck 2>&1 | tail -n 1
    """
    assert inside(node, installed, script).split("\n")[:3] == ["200", "0", "first"]


def test_perl(node: Product, installed: Path) -> None:
    script = """perl -MFile::Find -MSocket -e 'find(sub { $n++ }, "/usr/share/perl"); print $n > 100 ? "ok" : "few", " $<\\n"; exit system("true")'"""
    assert inside(node, installed, script) == "ok 0\n"


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
    """A whole login over loopback: root's sshd, its unprivileged child with a filter, a key, a shell."""
    script = """
        mkdir -p /run/sshd /root/.ssh && cd /root && chmod 700 /root /root/.ssh
        rm -f key key.pub; ssh-keygen -q -t ed25519 -N '' -f key && cp key.pub .ssh/authorized_keys && chmod 600 .ssh/authorized_keys
        port=$((20000 + $$ % 20000))
        /usr/sbin/sshd -D -e -p $port -o ListenAddress=127.0.0.1 -o UsePAM=no 2>sshd.log & server=$!
        options="-q -i key -p $port -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes"
        for try in $(seq 50); do ssh $options root@127.0.0.1 true 2>/dev/null && break; sleep 0.2; done
        ssh $options root@127.0.0.1 'id -un; echo $SSH_CONNECTION | cut -d" " -f1; exit 7' || echo status $?
        echo data | ssh $options root@127.0.0.1 'cat >/root/received; wc -c </root/received'
        kill $server; wait $server || true
        grep -c 'Accepted publickey' sshd.log | sed 's/[1-9][0-9]*/accepted/'; grep -c -i 'fatal\\|error' sshd.log || true
    """
    assert inside(node, installed, script) == "root\n127.0.0.1\nstatus 7\n5\naccepted\n0\n"


def test_dbus(node: Product, installed: Path) -> None:
    script = """
        dbus-daemon --session --fork --print-address=1 --print-pid=1 --address=unix:path=/tmp/bus-$$ >/tmp/bus-out
        address=$(sed -n 1p /tmp/bus-out); pid=$(sed -n 2p /tmp/bus-out)
        DBUS_SESSION_BUS_ADDRESS=$address dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId | grep -c string
        kill $pid
    """
    assert inside(node, installed, script) == "1\n"


def test_man(node: Product, installed: Path) -> None:
    assert inside(node, installed, "mandb -q && man -w true >/dev/null 2>&1; echo $?").strip() in ("0", "16")


def test_it_can_be_removed_again(node: Product, installed: Path) -> None:
    """The last one: purges a package, then the whole sandbox goes with rm -rf."""
    output = inside(node, installed, "apt-get -y purge git >/dev/null 2>&1; dpkg --audit; command -v git || echo gone")
    assert output == "gone\n"
    done = subprocess.run(["rm", "-rf", str(installed)], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr, installed.exists()) == (0, b"", False)


def test_a_package_under_userns(
    userns: Product, world: World, scratch: Path, own_guest: Callable[[str], Path]
) -> None:
    """The other engine installs too, and what one engine remembers the other one reads."""
    sandbox = own_guest("bookworm")
    for deb in world.debs().glob("*.deb"):
        if deb.name.startswith(("dbus", "libdbus", "libexpat")):
            (sandbox / "root" / deb.name).write_bytes(deb.read_bytes())
    script = """
        dpkg -i /root/libexpat*.deb /root/libdbus*.deb /root/dbus-bin*.deb /root/dbus-daemon*.deb \
            /root/dbus-session-bus-common*.deb /root/dbus-system-bus-common*.deb /root/dbus_*.deb >/root/log 2>&1 || cat /root/log
        dpkg --audit; stat -c '%u:%G %a' /usr/lib/dbus-1.0/dbus-daemon-launch-helper
    """
    done = userns.run(sandbox, "/bin/bash", "-c", script, options=["--root"], timeout=120)
    assert done.stdout == b"0:messagebus 4754\n", text(done)
    trap = Product("trap", userns.home)
    check = trap.run(
        sandbox, "stat", "-c", "%u:%G %a", "/usr/lib/dbus-1.0/dbus-daemon-launch-helper", options=["--root"]
    )
    assert check.stdout == b"0:messagebus 4754\n", text(check)
