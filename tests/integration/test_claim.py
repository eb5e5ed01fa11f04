"""One node at a time remembers things in a tree; others are told which."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import Udockpy


@pytest.fixture(params=["userns", "trap", "ptrace", "preload"])
def root(request: pytest.FixtureRequest, udockpy: Udockpy, box: Path) -> Udockpy:
    """Each engine in turn, unless this node rules it out; the box was run once."""
    udockpy.environ["UDOCKPY_ENGINE"] = request.param
    tried = udockpy("run", "--root", box, "true")
    if tried.returncode == 123:
        pytest.skip(tried.stderr.decode())
    assert tried.returncode == 0, tried.stderr.decode()
    return udockpy


def lock_file(udockpy: Udockpy) -> Path:
    (found,) = udockpy.home.glob("sandboxes/*/node")
    return found


@contextmanager
def held(path: Path, *, how: int = fcntl.LOCK_SH, signed: str | None = None) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, how)
        if signed is not None:
            path.write_text(signed)
        yield
    finally:
        os.close(fd)


def is_free(path: Path) -> bool:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def test_another_node_is_named(udockpy: Udockpy, box: Path) -> None:
    udockpy.output("run", "--root", box, "true")
    with held(lock_file(udockpy), signed="another-boot 4711 node17"):
        said = udockpy.refusal("run", "--root", box, "true")
        assert "in use on node17, first by process 4711" in said
        assert udockpy.output("run", box, "cat", "/etc/issue") == "guest"
        assert udockpy.output("run", "--root", "--read-only", box, "id", "-u") == "0"
    # It is gone, and so is what it signed.
    assert udockpy.output("run", "--root", box, "id", "-u") == "0"


def test_who_must_be_alone_is_waited_for_a_moment(udockpy: Udockpy, box: Path) -> None:
    udockpy.output("run", "--root", box, "true")
    with held(lock_file(udockpy), how=fcntl.LOCK_EX):
        assert "in use on" in udockpy.refusal("run", "--root", box, "true")


def test_runs_of_one_node_share(root: Udockpy, box: Path) -> None:
    with held(lock_file(root)):  # signed by the run before, of this node
        assert root.output("run", "--root", box, "id", "-u") == "0"


def test_the_last_process_lets_go(root: Udockpy, box: Path) -> None:
    script = "(while test -e /etc/issue; do sleep 0.1; done) >/dev/null 2>&1 & exec true"
    root.output("run", "--root", box, "sh", "-c", script)
    file = lock_file(root)
    assert not is_free(file)
    (box / "etc/issue").unlink()
    deadline = time.monotonic() + 20
    while not is_free(file):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_guest_does_not_see_the_lock(root: Udockpy, box: Path) -> None:
    shown = root.output("run", "--root", box, "sh", "-c", "ls /proc/self/fd; ls /proc/self/fd")
    plain = root.output("run", "--root", "--read-only", box, "sh", "-c", "ls /proc/self/fd")
    assert shown.split() == plain.split() * 2
    script = "for fd in 3 4 5 6 7 8 9; do eval \"exec $fd>&-\"; done; sh -c 'id -u'"
    assert root.output("run", "--root", box, "sh", "-c", script) == "0"


def test_what_another_node_uses_is_not_removed(udockpy: Udockpy, image: str) -> None:
    container = udockpy.output("create", image)
    udockpy.output("exec", "--root", container, "true")
    (node,) = udockpy.home.glob("containers/*/node")
    with held(node, signed="another-boot 4711 node17"):
        assert "in use on node17" in udockpy.refusal("rm", "--force", container)
    udockpy.output("rm", container)
