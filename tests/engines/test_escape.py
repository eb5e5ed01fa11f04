"""A guest program never touches a host file that it was not given: the first rule of the
product."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support.limits import lacks
from support.product import Product, text
from support.world import PROGRAMS, World, copy_tree

SECRET = "udockpy-secret"


class Seen(NamedTuple):
    """What writing would change."""

    name: str
    mode: int
    owner: int
    size: int
    changed: int
    content: bytes


def state_of(directory: Path) -> list[Seen]:
    """Everything in a directory that a guest could have changed."""
    found = []
    for path in sorted([directory, *directory.rglob("*")]):
        about = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found.append(
            Seen(path.name, about.st_mode, about.st_uid, about.st_size, about.st_mtime_ns, content)
        )
    return found


@pytest.fixture
def outside(scratch: Path) -> Iterator[Path]:
    """A directory of the user's, beside the sandbox, that the guest is not given."""
    path = scratch / "outside"
    path.mkdir()
    (path / "secret").write_text(SECRET)
    (path / "listener-log").write_text("")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path / "listener"))
    server.listen(8)
    yield path
    server.close()


def test_the_attempts_work_where_nothing_holds_them(
    world: World, scratch: Path, outside: Path
) -> None:
    """Without a guest every attempt at the plain path must succeed: else the other tests would
    prove nothing."""
    done = subprocess.run(
        [str(world.program("escape-static")), str(outside), str(scratch)],
        stdout=subprocess.PIPE,
        cwd="/",
        timeout=120,
        check=False,
    )
    lines = done.stdout.decode(errors="replace").splitlines()
    ways = {line.partition(":")[0] for line in lines if line.startswith("reached")}
    for way in (
        "open",
        "raw open",
        "openat",
        "hidden",
        "generated",
        "openat2",
        "stat",
        "planted",
        "race",
        "race, chdir",
        "connect",
    ):
        assert f"reached {way}" in ways
    assert state_of(outside)[0].mode or not outside.exists()


# Ways that an engine may be unable to close by its nature.
LIMITS = ("generated",)


def open_ways(engine: Product) -> list[str]:
    return [way for way in LIMITS if lacks(engine.engine, way)]


def attempt_words(engine: Product) -> list[str]:
    return [f"--no-{way}" for way in open_ways(engine)]


@pytest.mark.parametrize("options", [(), ("--root",)], ids=["user", "root"])
@pytest.mark.parametrize(
    "guest", ["static", pytest.param("musl", marks=pytest.mark.reference), "bookworm"]
)
def test_no_way_out(
    engine: Product,
    world: World,
    scratch: Path,
    outside: Path,
    guest: str,
    options: tuple[str, ...],
) -> None:
    sandbox = scratch / "sandbox"
    if guest == "bookworm":
        sandbox = world.guest(guest)
    else:
        copy_tree(world.guest(guest), sandbox)
    program = {"static": "escape-static", "musl": "escape-musl", "bookworm": "escape"}[guest]
    before = state_of(outside)
    command = (f"{PROGRAMS}/{program}", str(outside), *attempt_words(engine))
    done = engine.run(sandbox, *command, options=options, timeout=180)
    lines = done.stdout.decode(errors="replace").splitlines()
    assert [line for line in lines if line.startswith("reached")] == []
    assert SECRET.encode() not in done.stdout + done.stderr
    assert state_of(outside) == before
    assert done.returncode == 0, text(done)
    assert lines, text(done)
    assert lines[-1].startswith("tried"), text(done)


def test_open_ways_are_open(engine: Product, sandbox: Path, outside: Path) -> None:
    """A way that a change has closed must be taken out of the limits."""
    done = engine.run(sandbox, f"{PROGRAMS}/escape-musl", str(outside), timeout=180)
    lines = done.stdout.decode(errors="replace").splitlines()
    ways = {line.partition(":")[0] for line in lines if line.startswith("reached")}
    assert ways == {f"reached {way}" for way in open_ways(engine)}


@pytest.mark.parametrize(
    "target",
    [
        "{outside}",
        "/..{outside}",
        "../../../../../../../../..{outside}",
        "/proc/self/root{outside}",
    ],
)
def test_symlinks_planted_in_the_image(
    engine: Product, sandbox: Path, outside: Path, target: str
) -> None:
    """The image itself may be hostile: links in the places that programs and the runtime walk
    through."""
    link = target.format(outside=outside)
    (sandbox / "planted").symlink_to(link)
    (sandbox / "etc" / "hostname").symlink_to(f"{link}/secret")
    (sandbox / "opt" / "planted").symlink_to(link)
    (sandbox / "bin" / "tool").symlink_to(f"{link}/secret")
    before = state_of(outside)
    script = """
        cat /planted/secret /etc/hostname /opt/planted/secret /opt/../planted/./secret
        ls /planted/ /planted/../outside
        echo x >/planted/new; echo x >/etc/hostname; mkdir /planted/dir; rm -rf /planted/secret
        cd /planted && cat secret
        /bin/tool; sh /bin/tool
        true
    """
    for options in ((), ("--root",)):
        done = engine.shell(sandbox, script, options=options)
        assert done.returncode == 0, text(done)
        assert SECRET.encode() not in done.stdout + done.stderr
        assert state_of(outside) == before


@pytest.mark.reference
@pytest.mark.parametrize(
    "place",
    ["etc", "proc", "dev", "sys", "tmp", "bin", "etc/resolv.conf", "etc/hosts", "etc/passwd"],
)
def test_mount_points_that_are_links(
    engine: Product, sandbox: Path, outside: Path, place: str
) -> None:
    """Where the runtime itself binds something, the image has a link that leads outside."""
    path = sandbox / place
    spared = sandbox / "spared"
    if path.exists():
        os.rename(path, spared)
    path.symlink_to(outside)
    before = state_of(outside)
    done = engine.shell(sandbox, f"cat /{place}/secret; echo x >/{place}/new; true")
    assert SECRET.encode() not in done.stdout + done.stderr
    assert state_of(outside) == before


@pytest.mark.reference
def test_a_command_that_only_the_host_has(engine: Product, sandbox: Path, outside: Path) -> None:
    program = outside / "program"
    program.write_text("#!/bin/sh\necho from the host\n")
    program.chmod(0o755)
    done = engine.run(sandbox, str(program))
    assert done.returncode == 127
    assert done.stdout == b""
    (sandbox / "bin" / "script").write_text(f"#!{program}\n")
    (sandbox / "bin" / "script").chmod(0o755)
    done = engine.run(sandbox, "/bin/script")
    assert done.returncode in (126, 127)
    assert done.stdout == b""


@pytest.mark.reference
def test_inherited_directory_leads_nowhere_else(
    engine: Product, sandbox: Path, outside: Path
) -> None:
    """A descriptor that the user hands in is given; the rest of the host beyond it is not."""
    fd = os.open(sandbox, os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(fd, True)
    try:
        script = (
            f"cat /proc/self/fd/{fd}/../outside/secret /dev/fd/{fd}/../outside/secret; "
            f"cd /proc/self/fd/{fd}/.. && ls"
        )
        done = engine.shell(sandbox, script, pass_fds=(fd,))
    finally:
        os.close(fd)
    assert SECRET.encode() not in done.stdout
    assert b"outside" not in done.stdout


@pytest.mark.reference
def test_two_guests_do_not_see_each_other(engine: Product, sandbox: Path, world: World) -> None:
    """/proc/PID of a guest's process leads another guest nowhere."""
    first = engine.start(
        sandbox, "/bin/sh", "-c", "echo secret >/mine; echo ready; sleep 30", stdout=subprocess.PIPE
    )
    try:
        assert first.stdout
        assert first.stdout.readline() == b"ready\n"
        script = "cat /proc/[0-9]*/root/mine /proc/[0-9]*/cwd/mine 2>/dev/null; true"
        done = engine.shell(world.guest("static"), script)
        assert done.stdout == b""
    finally:
        first.kill()
        first.wait()
        first.stdout and first.stdout.close()
