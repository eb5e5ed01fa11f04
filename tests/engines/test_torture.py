"""The torture program prints in every engine what it prints under a real root's chroot, word for
word."""

from __future__ import annotations

import pytest
from support.limits import lacks
from support.product import Product, text
from support.world import PROGRAMS, World, lines_by_name

GUESTS = (
    *("bookworm", "bullseye", "trixie", "sid", "static"),
    pytest.param("musl", marks=pytest.mark.reference),
)

# Limits that are also the name of a check, and whom they concern. A difference that is gone must be
# taken out of support/limits.py.
KNOWN = {
    # Without it a program with file capabilities out of a bind of the host's would get them over
    # the guest's mounts, and with the empty bounding set it would not even start.
    "no_new_privs": ("user",),
}
# What the reference tracer leaves out, and why; it is only run as the user.
SOCKETS = "addresses of sockets are absolute, and have the host's limit"
REFERENCE = {
    "program_written_while_it_runs": "the kernel runs the interpreter, not the program",
    "proc_exe_of_others": "what the kernel says is the interpreter",
    "proc_self_maps": "files of /proc are the host's",
    "seccomp_state": "filters are accepted and forgotten",
    "openat2_rules": "openat2 is refused",
    "bad_buffers": "openat2 is refused",
    "unix_datagrams": SOCKETS,
    "unix_connect_errors": SOCKETS,
    "unix_absolute_hundred": SOCKETS,
    "unix_streams": SOCKETS,
}


def differences(expected: dict[str, str], found: dict[str, str]) -> dict[str, str]:
    """Check name -> the two lines, where they are not the same; long lines from where they part."""
    report = {}
    for name in expected:
        one, other = expected[name], found.get(name, "(not run)")
        if one == other:
            continue
        if other.startswith("ok "):
            words = list(zip(one.split(" "), other.split(" ")))
            parted = [f"{left} -> {right}" for left, right in words if left != right]
            report[name] = "; ".join(parted[:12]) or f"{one} -> {other}"
        else:
            report[name] = other
    return report


@pytest.mark.parametrize("who", ["root", "user"])
@pytest.mark.parametrize("guest", GUESTS)
def test_as_under_a_real_chroot(engine: Product, world: World, guest: str, who: str) -> None:
    options = ["--root"] if who == "root" else []
    done = engine.run(
        world.guest(guest),
        world.torture_program(guest),
        f"{PROGRAMS}/work",
        who,
        options=options,
        timeout=240,
    )
    found = lines_by_name(done.stdout.decode(errors="replace"))
    expected = world.transcript(guest, who)
    assert found, text(done)
    different = differences(expected, found)
    known = {name for name, whose in KNOWN.items() if who in whose and lacks(engine.engine, name)}
    if engine.engine == "ptrace-py":
        known |= set(REFERENCE)
    news = {name: what for name, what in different.items() if name not in known}
    gone = sorted(name for name in known if name in expected and name not in different)
    assert not news, f"{len(news)} of {len(expected)} differ:\n" + "\n".join(
        f"{n}: {w}" for n, w in news.items()
    )
    assert not gone, f"no longer different, take them out of the limits: {gone}"
    assert set(found) == set(expected)
