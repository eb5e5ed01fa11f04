"""Real packages, installed on nodes that forbid things, by whichever engine auto finds there.

Three nodes belong to the ordinary tests, the rest to ``make test-lockdown``: half a minute each.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
from support.nodes import NODES, NOTHING, Node
from support.product import ENGINE_REFUSED, Product, text
from support.world import World, copy_tree, copy_with_debs, remove_tree

from udockpy.engines import ENGINES

# One for each engine that is not the first.
ORDINARY = ("no id maps", "no user namespaces, no filters", "nothing but memory")
COMMAND = ("apt-get", "install", "-y", "openssh-client", "man-db")
COMPLAINTS = (b"E: ", b"W: ", b"dpkg: error", b"dpkg: warning")
OPTIONS = ["--root", "--verbose", "-e", "DEBIAN_FRONTEND"]
PROOF = """
dpkg --audit; stat -c '%n %u:%G %a' /usr/bin/ssh-agent /usr/lib/openssh/ssh-keysign /var/cache/man
ssh -V 2>&1 | cut -d_ -f1; man --version | cut -d. -f1
"""
PROVED = [
    *("/usr/bin/ssh-agent 0:_ssh 2755", "/usr/lib/openssh/ssh-keysign 0:root 4755"),
    *("/var/cache/man 6:man 755", "OpenSSH", "man 2"),
]

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Where this module's sandboxes are. Not below a home or /tmp, which nodes may spoil."""
    path = Path(f"/var/tmp/udockpy-lockdown-{os.getpid()}")
    path.mkdir()
    yield path
    remove_tree(path)


@pytest.fixture(scope="module")
def fresh(world: World, place: Path) -> Path:
    """A bookworm that knows its packages, and has them in apt's cache."""
    sandbox = place / "fresh"
    copy_with_debs(world, sandbox)
    done = Product("auto", place / "home").run(
        sandbox, "apt-get", "update", options=["--root"], timeout=180
    )
    assert done.returncode == 0, text(done)
    return sandbox


@pytest.fixture
def sandbox(fresh: Path, scratch: Path) -> Path:
    """One to install in."""
    path = scratch / "sandbox"
    copy_tree(fresh, path)
    return path


def on(node: Node, scratch: Path) -> Product:
    return Product("auto", scratch / "home", lock=node.words(Path.home()))


def said(done_stderr: bytes) -> str:
    """The line of --verbose that names the engine and its reasons."""
    return next(
        line for line in done_stderr.decode().splitlines() if line.startswith("udockpy: engine ")
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ORDINARY else pytest.mark.long)
        for name, node in NODES.items()
        if node.pretends()
    ],
)
def test_packages_are_installed(
    name: str, sandbox: Path, scratch: Path, record_property: Callable[[str, object], None]
) -> None:
    node = NODES[name]
    product = on(node, scratch)
    environ = product.environment(DEBIAN_FRONTEND="noninteractive")
    start = time.monotonic()
    done = product.run(sandbox, *COMMAND, options=OPTIONS, environ=environ, timeout=400)
    took = time.monotonic() - start
    assert done.returncode == 0, text(done)
    for complaint in COMPLAINTS:
        assert complaint not in done.stderr + done.stdout, text(done)
    words = said(done.stderr)
    engine = words.split()[2]
    assert engine not in node.forbids
    # Each engine before it was passed over for a reason, and what the node forbids is among them.
    passed_over = list(ENGINES)[: list(ENGINES).index(engine)]
    assert all(f"{other}: " in words for other in passed_over)
    proof = product.run(sandbox, "/bin/sh", "-c", PROOF, options=["--root"])
    assert proof.stdout.decode().splitlines() == PROVED, text(proof)
    for key, value in {
        "node": name,
        "lockdown": " ".join(node.lock) or "nothing",
        "forbidden": ", ".join(node.forbids) or "nothing",
        "engine": engine,
        "why": words.partition("(")[2].rpartition(")")[0],
        "seconds": f"{took:.0f}",
    }.items():
        record_property(key, value)


@pytest.mark.parametrize(
    "node",
    [NOTHING, *(node for node in NODES.values() if not node.pretends())],
    ids=lambda node: " ".join(node.lock),
)
def test_where_nothing_works_one_error_says_so(node: Node, small: Path, scratch: Path) -> None:
    done = on(node, scratch).run(small, *COMMAND, options=["--root"])
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (ENGINE_REFUSED, b""), text(done)
    assert [line.partition(":")[0] for line in lines] == ["udockpy", "hint"]
    assert all(f"{name}: " in lines[0] for name in ENGINES)
