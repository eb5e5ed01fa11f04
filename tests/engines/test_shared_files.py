"""A container shares its image's files until it changes them: neither the image nor a sibling sees
that, and nothing in the container tells them from files of its own."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.product import ENGINE_REFUSED, Product, text
from support.world import World

from udockpy.engines import BY_NAME, ENGINES
from udockpy.layer.shared import is_shared

CONTENT = "what the image holds\n"
GETFLAGS = 0x80086601  # FS_IOC_GETFLAGS
DIRECTORIES = ("bin", "dev", "etc", "files", "proc", "root", "sys", "tmp", "usr")
LIBRARIES = ("lib*/ld-linux*.so.*", "usr/lib*/ld-linux*.so.*", "usr/lib/*/libc.so.6")
IDENTITIES = pytest.mark.parametrize("options", [["--root"], []], ids=["root", "himself"])


def udockpy(product: Product, *words: str | Path) -> str:
    """Another command than run, with the same state."""
    done = subprocess.run(
        [sys.executable, "-m", "udockpy", *map(os.fspath, words)],
        env=product.environment(),
        cwd="/",
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b""), text(done)
    return done.stdout.decode().strip()


@pytest.fixture
def image(engine: Product, world: World, scratch: Path) -> Path:
    """The root filesystem of the image "small"."""
    return make_image(engine, world, scratch / "small")


def make_image(product: Product, world: World, root: Path) -> Path:
    guest, program = world.guest("bookworm"), world.program("changes")
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True)
    for pattern in (*LIBRARIES, "bin/dash", "bin/cat"):
        for path in guest.glob(pattern):
            (root / path.relative_to(guest)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / path.relative_to(guest))
    shutil.copy(program, root / "bin/changes")
    (root / "bin/sh").symlink_to("dash")
    names = subprocess.run([program, "--names"], capture_output=True, text=True, check=True).stdout
    for name in ("one", *names.split()):
        path = root / "files" / name
        path.write_text(CONTENT)
        path.chmod(0o644)
        os.setxattr(path, "user.image", b"image")
        os.utime(path, ns=(10**18, 10**18 + 123456789))
    os.link(root / "files/one", root / "files/two")
    assert udockpy(product, "import", root, "small") == "small"
    return product.home / "imported/small/rootfs"


def rootfs(product: Product, container: str) -> Path:
    return product.home / "containers" / container / "rootfs"


def snapshot(tree: Path) -> dict[str, Any]:
    """All of a tree but times of access and of change, which links have too."""
    found: dict[str, Any] = {}
    for path in sorted(tree.rglob("*")):
        status = path.lstat()
        facts: list[Any] = [status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns]
        if path.is_file() and not path.is_symlink():
            facts.append(hashlib.sha256(path.read_bytes()).digest())
            facts.append({name: os.getxattr(path, name) for name in os.listxattr(path)})
            facts.append(flags(path))
        found[os.fspath(path.relative_to(tree))] = facts
    return found


def flags(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY)
    try:
        return int(struct.unpack("i", fcntl.ioctl(fd, GETFLAGS, bytes(4)))[0])
    except OSError:
        return 0
    finally:
        os.close(fd)


@IDENTITIES
def test_no_change_reaches_the_image_or_a_sibling(
    engine: Product, image: Path, options: list[str]
) -> None:
    first, second = udockpy(engine, "create", "small"), udockpy(engine, "create", "small")
    assert all(is_shared(path.stat().st_mode) for path in (image / "files").iterdir())
    before = snapshot(image), snapshot(rootfs(engine, second))
    done = engine.run(first, "/bin/changes", "/files", options=options)
    assert done.returncode == 0, text(done)
    assert b"not ok" not in done.stdout, text(done)
    assert (snapshot(image), snapshot(rootfs(engine, second))) == before
    left = [path.name for path in rootfs(engine, first).rglob(".udockpy*")]
    assert left == []
    again = engine.run(second, "/bin/changes", "/files", options=options)
    assert again.stdout == done.stdout


@IDENTITIES
def test_a_run_that_is_removed_leaves_the_image_as_it_was(
    engine: Product, image: Path, options: list[str]
) -> None:
    """Under an engine of the kernel's it is an overlay."""
    before = snapshot(image)
    done = engine.run(Path("small"), "/bin/changes", "/files", options=["--rm", *options])
    assert done.returncode == 0, text(done)
    assert b"not ok" not in done.stdout, text(done)
    script = "echo new >>/files/one; cat /files/two"
    done = engine.run(Path("small"), "/bin/sh", "-c", script, options=["--rm", *options])
    assert done.stdout.decode() == f"{CONTENT}new\n", text(done)
    assert snapshot(image) == before
    assert list((engine.home / "containers").iterdir()) == []


def test_a_new_container_has_no_data_of_its_own(engine: Product, image: Path) -> None:
    container = rootfs(engine, udockpy(engine, "create", "small"))
    for path in container.rglob("*"):
        own = path.lstat().st_ino != (image / path.relative_to(container)).lstat().st_ino
        assert path.is_dir() or not own or path.lstat().st_blocks == 0, path


@IDENTITIES
def test_a_shared_file_looks_as_any_other(engine: Product, image: Path, options: list[str]) -> None:
    script = "[ -w /files/open ] && [ ! -k /files/open ] && [ -x /bin/changes ] && echo ordinary"
    done = engine.shell(udockpy(engine, "create", "small"), script, options=options)
    assert done.stdout == b"ordinary\n", text(done)


def test_names_of_one_file_stay_so(engine: Product, image: Path) -> None:
    container = udockpy(engine, "create", "small")
    script = "[ /files/one -ef /files/two ] && echo new >>/files/one; cat /files/two"
    done = engine.shell(container, f"{script}; [ /files/one -ef /files/two ] && echo same")
    assert done.stdout.decode() == f"{CONTENT}new\nsame\n", text(done)
    assert (image / "files/two").read_text() == CONTENT


def test_many_processes_change_a_file_at_once(engine: Product, image: Path) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $i >>/files/open & done; wait"
    container = udockpy(engine, "create", "small")
    done = engine.shell(container, f"{script}; cat /files/open", options=["--root"])
    first, *lines = done.stdout.decode().splitlines()
    assert f"{first}\n" == CONTENT
    assert sorted(map(int, lines)) == list(range(1, 13)), text(done)
    folders = [root / "files" for root in (image, rootfs(engine, container))]
    assert len({folder.stat().st_mtime_ns for folder in folders}) == 1


def test_what_a_file_pretends_goes_with_its_copy(engine: Product, image: Path) -> None:
    container = udockpy(engine, "create", "small")
    set_up = "/bin/changes /files >/dev/null; exit 0"
    assert engine.shell(container, set_up, options=["--root"]).returncode == 0
    done = engine.shell(container, "[ -u /files/set-id ] && echo set-id", options=["--root"])
    assert done.stdout == b"set-id\n", text(done)


def test_a_container_goes_from_engine_to_engine(world: World, scratch: Path) -> None:
    """Made once, changed by each that this node allows in turn."""
    every = [Product(name, scratch / "home") for name in (*ENGINES, *BY_NAME)]
    true = (world.guest("static"), "/bin/true")
    products = [product for product in every if product.run(*true).returncode != ENGINE_REFUSED]
    image = make_image(products[0], world, scratch / "small")
    before = snapshot(image)
    container = udockpy(products[0], "create", "small")
    for number, product in enumerate(products):
        own = ("open", "rdwr", "create", "trunc")[number % 4]
        script = f"echo {product.engine} >>/files/one; echo {product.engine} >>/files/{own}"
        done = product.shell(container, script, options=["--root"] if number % 2 else [])
        assert done.returncode == 0, text(done)
        # One that cannot keep shared files apart has them copied first.
        assert b"udockpy: copying the files" in done.stderr or not done.stderr, text(done)
    lines = [CONTENT.strip(), *(product.engine for product in products)]
    assert (rootfs(products[0], container) / "files/two").read_text().splitlines() == lines
    assert snapshot(image) == before
