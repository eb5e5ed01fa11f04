"""Fixtures of all tests. An engine is one parameter here: the tests know no engine by name unless
they say why."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
from support.product import ENGINE_REFUSED, Product, text
from support.world import DEFAULT, World, copy_tree, missing, remove_tree

from udockpy import engines

ENGINES = (*engines.ENGINES, *engines.BY_NAME)
SCRATCH = "/var/tmp"  # not /tmp: a guest may be shown that


def is_beyond_reference(item: pytest.Item) -> bool:
    """Whether a test is one that the reference tracer does not run: it runs those that are marked
    for it, and pretends no root.
    """
    call = getattr(item, "callspec", None)
    if call is None or call.params.get("engine") not in engines.BY_NAME:
        return False
    pretends = "--root" in call.params.get("options", ()) or call.params.get("who") == "root"
    return pretends or item.get_closest_marker("reference") is None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if is_beyond_reference(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not is_beyond_reference(item)]


@pytest.fixture(scope="session")
def world() -> World:
    """The guests that tests/world/prepare made."""
    if os.geteuid() == 0:
        pytest.fail(
            "guests are run as an ordinary user, not as root: runuser -u NAME -- pytest ...",
            pytrace=False,
        )
    return World(Path(os.environ.get("UDOCKPY_WORLD", DEFAULT)))


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory of the test's own that no guest is shown, and where sockets have short names."""
    path = Path(tempfile.mkdtemp(prefix="udockpy-", dir=SCRATCH))
    yield path
    remove_tree(path)


@pytest.fixture(scope="session")
def allowed() -> dict[str, subprocess.CompletedProcess[bytes]]:
    """What each engine's first run on this node said."""
    return {}


def product_for(
    name: str,
    world: World,
    home: Path,
    allowed: dict[str, subprocess.CompletedProcess[bytes]],
) -> Product:
    """The product with an engine, unless this node rules that out."""
    product = Product(name, home)
    if name not in allowed:
        allowed[name] = product.run(world.guest("static"), "/bin/true")
    if allowed[name].returncode == ENGINE_REFUSED:
        missing(f"engine {name}: this node rules it out: {text(allowed[name])}")
    return product


@pytest.fixture(params=ENGINES)
def engine(
    request: pytest.FixtureRequest,
    world: World,
    scratch: Path,
    allowed: dict[str, subprocess.CompletedProcess[bytes]],
) -> Product:
    """The product with each of its engines."""
    return product_for(request.param, world, scratch / "home", allowed)


@pytest.fixture
def trap(
    world: World, scratch: Path, allowed: dict[str, subprocess.CompletedProcess[bytes]]
) -> Product:
    """The product with the engine that translates, for what only translation can get wrong."""
    return product_for("trap", world, scratch / "home", allowed)


@pytest.fixture
def userns(
    world: World, scratch: Path, allowed: dict[str, subprocess.CompletedProcess[bytes]]
) -> Product:
    """The product with the engine that needs user namespaces."""
    return product_for("userns", world, scratch / "home", allowed)


@pytest.fixture
def small(world: World) -> Path:
    """The shared guest that starts fastest: nothing but busybox, dynamically linked against
    musl."""
    return world.guest("musl")


@pytest.fixture
def sandbox(world: World, scratch: Path) -> Path:
    """A small guest of the test's own."""
    path = scratch / "sandbox"
    copy_tree(world.guest("musl"), path)
    return path


@pytest.fixture
def own_guest(world: World, scratch: Path) -> Callable[[str], Path]:
    """Makes a guest of the test's own by the name of a shared one."""

    def make(name: str) -> Path:
        path = scratch / name
        copy_tree(world.guest(name), path)
        return path

    return make
