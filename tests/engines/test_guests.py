"""The kinds of guest: C libraries of seven years, static programs, Go, another architecture."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.product import ENGINE_REFUSED, NOT_EXECUTABLE, Product, text
from support.world import PROGRAMS, World

DEBIAN = ("bullseye", "bookworm", "trixie", "sid")
SCRIPT = """
set -e
. /etc/os-release; echo "$ID"
perl -MPOSIX -e 'printf "%s %d\\n", (uname())[0], -e "/etc/debian_version"; fork or exit
wait; print "forked\\n"'
ls -l / | wc -l >/dev/null; find /usr/share/doc -maxdepth 1 | sort | tail -n 1 >/dev/null
bash -c 'x=$(cat <(echo substituted)); echo $x'
dpkg-query -W -f '${Status}\\n' dpkg; dpkg --audit
getent passwd root | cut -d: -f1
date -u -d @0 +%Y; sed -n 1p /etc/passwd | tr a-z A-Z | cut -c1-4; echo 2 10 | awk '{print $1^$2}'
tar -C /etc -cf - passwd | tar -tf -; sha256sum </dev/null | cut -c1-8
"""
EXPECTED = (
    "debian\nLinux 1\nforked\nsubstituted\ninstall ok installed\nroot\n"
    "1970\nROOT\n1024\npasswd\ne3b0c442\n"
)


@pytest.mark.reference
@pytest.mark.parametrize("options", [[], ["--root"]], ids=["user", "root"])
@pytest.mark.parametrize("name", DEBIAN)
def test_debian(engine: Product, world: World, name: str, options: list[str]) -> None:
    done = engine.run(world.guest(name), "/bin/bash", "-c", SCRIPT, options=options)
    assert done.stdout.decode() == EXPECTED, text(done)
    assert done.returncode == 0


@pytest.mark.reference
def test_musl(engine: Product, small: Path) -> None:
    script = (
        "cat /etc/os-release | grep -c musl; ls /lib; "
        "find / -name os-release -maxdepth 2; ls -la /bin/.. | wc -l"
    )
    done = engine.shell(small, script)
    assert done.stdout.decode().split("\n")[:3] == [
        "2",
        "ld-musl-x86_64.so.1",
        "/etc/os-release",
    ], text(done)


@pytest.mark.reference
@pytest.mark.parametrize("program", ["torture-static", "torture"])
@pytest.mark.parametrize("options", [[], ["--root"]], ids=["user", "root"])
def test_static_c(engine: Product, world: World, program: str, options: list[str]) -> None:
    guest = world.guest("static" if program == "torture-static" else "bookworm")
    done = engine.run(guest, f"{PROGRAMS}/{program}", "--exit", "42", options=options)
    assert done.returncode == 42, text(done)


@pytest.mark.parametrize("round_", [pytest.param(0, marks=pytest.mark.reference), 1, 2])
@pytest.mark.parametrize("options", [[], ["--root"]], ids=["user", "root"])
def test_static_go_with_64_goroutines(
    engine: Product, world: World, options: list[str], round_: int
) -> None:
    done = engine.run(world.guest("static"), f"{PROGRAMS}/gostatic", options=options)
    assert done.stdout.decode() == f"executable={PROGRAMS}/gostatic failures=0\n", text(done)
    assert done.returncode == 0


def test_i386_under_userns(userns: Product, world: World) -> None:
    done = userns.run(
        world.guest("i386"), "/bin/bash", "-c", "dpkg --print-architecture; ls / | wc -l >/dev/null"
    )
    assert (done.returncode, done.stdout) == (0, b"i386\n"), text(done)


def test_i386_under_trap_is_refused_clearly(trap: Product, world: World) -> None:
    done = trap.run(world.guest("i386"), "/bin/bash", "-c", "echo ran")
    assert done.returncode in (ENGINE_REFUSED, NOT_EXECUTABLE), text(done)
    assert done.stdout == b""
    first, _, second = done.stderr.decode().partition("\n")
    assert first.startswith("udockpy: "), text(done)
    assert "i386" in first or "32-bit" in first, text(done)
    assert second.startswith("hint: ")


def test_i386_program_in_a_64_bit_guest_under_trap(
    trap: Product, world: World, sandbox: Path
) -> None:
    """Started by a shell inside, where nobody could look at it before: an error, not a kill."""
    program = next((world.guest("i386") / "usr/bin").glob("true"))
    target = sandbox / "bin" / "true32"
    target.write_bytes(program.read_bytes())
    target.chmod(0o755)
    done = trap.shell(sandbox, "/bin/true32; echo status=$?")
    assert done.returncode == 0
    assert done.stdout in (b"status=126\n", b"status=127\n"), text(done)
