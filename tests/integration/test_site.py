"""A site's store: its images are everybody's, and nobody changes them."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from command import Udockpy
from trees import image_of, pull, tree
from zoo import Zoo

from udockpy import engines

SHARED = ("images", "trees", "imported")


def everything(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that the site's store holds."""
    return {
        os.fspath(path): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() and not path.is_symlink() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def site(udockpy: Udockpy, zoo: Zoo, box: Path, tmp_path: Path) -> Path:
    """A store with a pulled and an imported image, in which the user may write nothing."""
    made = tmp_path / "site"
    admin = Udockpy(made, udockpy.cwd)
    pull(admin, f"oci:{zoo.layout}:opaque", "zoo:1")
    with tarfile.open(udockpy.cwd / "a.tar", "w") as archive:
        archive.add(box, ".", filter=as_root)
        secret = tarfile.TarInfo("etc/shadow")
        secret.mode, secret.gid = 0o640, 42
        archive.addfile(secret)
    admin.output("import", udockpy.cwd / "a.tar", "small")
    assert admin.output("publish") == os.fspath(made)
    for base, folders, names in os.walk(made):
        for name in (*folders, *names):
            path = os.path.join(base, name)
            if not os.path.islink(path):
                mode = os.stat(path).st_mode
                part = Path(path).relative_to(made).parts[0]
                assert mode & 0o444 == 0o444 or part not in SHARED, path
                if "/rootfs/" not in f"{path}/":  # modes there are those of the guest's files
                    os.chmod(path, mode & ~0o222)
    os.chmod(made, 0o555)
    udockpy.environ["UDOCKPY_SITE_STORE"] = os.fspath(made)
    yield made
    for base, folders, _ in os.walk(made):
        for name in (*folders, "."):
            if not os.path.islink(os.path.join(base, name)):
                os.chmod(os.path.join(base, name), 0o755)


def as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    return member


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_images_of_the_site_are_run_where_they_are(
    udockpy: Udockpy, site: Path, engine: str
) -> None:
    before = everything(site)
    script = "cat /etc/issue; stat -c '%a %u %g' /etc/shadow; echo x 2>/dev/null >/etc/x || echo no"
    words = ("exec", "--engine", engine, "--root", "small", "sh", "-c", script)
    done = udockpy(*words)
    if done.returncode == 123:
        pytest.skip(f"this node rules {engine} out: {done.stderr.decode()}")
    assert done.stdout.decode().splitlines() == ["guest", "640 0 42", "no"], done.stderr
    assert udockpy.output("exec", "--engine", engine, "small", "cat", "/etc/issue") == "guest"
    assert udockpy.output("exec", "--engine", engine, "zoo:1", "/bin/cat", "/etc/issue") == "zoo"
    assert everything(site) == before
    assert udockpy.state() == []


def test_containers_of_the_site_s_images_are_one_s_own(udockpy: Udockpy, site: Path) -> None:
    before = everything(site)
    listed = {row["name"] for row in json.loads(udockpy.output("images", "--json"))}
    assert listed == {"small", "docker.io/library/zoo:1"}
    for image in ("small", "zoo:1"):
        done = udockpy("create", "--name", image.partition(":")[0], image)
        assert done.returncode == 0, done.stderr
    script = "busybox cat /etc/issue; echo new >/etc/new; busybox chown 7 /etc/new"
    assert udockpy.output("exec", "--root", "zoo", "sh", "-c", script) == "zoo"
    assert (
        udockpy.output("exec", "--root", "small", "stat", "-c", "%a %g", "/etc/shadow") == "640 42"
    )
    assert udockpy.output("diff", "zoo").splitlines() == ["C /etc", "A /etc/new"]
    udockpy.output("commit", "zoo", "mine:1")
    assert udockpy.output("run", "--rm", "mine:1", "/bin/cat", "/etc/new") == "new"
    assert len(list((udockpy.home / "images/blobs/sha256").iterdir())) == 3  # the layers are there
    udockpy.output("save", "-o", "saved.tar", "mine:1")
    other = Udockpy(udockpy.home.parent / "other", udockpy.cwd)
    other.output("load", "-q", "-i", "saved.tar")
    (udockpy.cwd / "saved.tar").unlink()
    found = tree(image_of(other, "docker.io/library/mine:1")["rootfs"])
    assert (found["etc/new"].uid, found["opt/t/suid"].mode) == (7, 0o4755)
    assert everything(site) == before


def test_the_site_s_images_stay(udockpy: Udockpy, zoo: Zoo, site: Path) -> None:
    before = everything(site)
    for words in (("rmi", "small"), ("rmi", "-f", "zoo:1"), ("protect", "zoo:1")):
        assert "it is in the site's store" in udockpy.refusal(*words)
    assert udockpy.output("gc", "--all") == "0 B are free"
    assert udockpy.output("verify", "--trees") == ""
    # What is there is not brought again; an image of one's own has the name then.
    said = udockpy("pull", f"oci:{zoo.layout}:opaque", "zoo:1").stderr.decode()
    assert said.count("is there") == 4, said
    udockpy.output("tag", "zoo:1", "again:1")
    assert image_of(udockpy, "docker.io/library/again:1")["rootfs"].startswith(os.fspath(site))
    udockpy.output("rmi", "zoo:1", "again:1")
    assert udockpy.output("exec", "zoo:1", "/bin/cat", "/etc/issue") == "zoo"
    assert everything(site) == before


def test_a_site_that_is_not_there_is_none(udockpy: Udockpy, image: str) -> None:
    udockpy.environ["UDOCKPY_SITE_STORE"] = "/nowhere/at/all"
    assert udockpy.output("exec", image, "cat", "/etc/issue") == "guest"
    assert "no such image" in udockpy.refusal("rmi", "zoo:1")
