"""pull, run REFERENCE, login, logout, tags and inspect, with a real registry and with images that
umoci and skopeo made. Their unpacking is the measure of ours.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from command import Udockpy
from support.product import text
from trees import assert_same, image_of, pull, tree
from world.registry import PASSWORD, USER, Registries, run
from zoo import COPY, Zoo


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("base:gz", "base"),
        ("changed:gz", "changed"),
        ("opaque:gz", "opaque"),
        ("opaque:zstd", "opaque"),
        ("opaque:plain", "opaque"),
        ("opaque:v2s2", "opaque"),
        ("multi:oci", "opaque"),
        ("multi:list", "opaque"),
    ],
)
def test_what_is_pulled_is_what_umoci_unpacks(
    udockpy: Udockpy, zoo: Zoo, name: str, tag: str
) -> None:
    words = ("--platform", "linux/amd64", "--insecure", f"docker://{zoo.reference(name)}")
    assert_same(pull(udockpy, *words)["rootfs"], zoo.unpacked(tag))


def test_what_umoci_without_root_cannot_keep_is_kept(udockpy: Udockpy, zoo: Zoo) -> None:
    found = tree(pull(udockpy, "--insecure", zoo.reference("base:gz"))["rootfs"])
    assert found["opt/t/suid"].mode == 0o4755
    assert (found["opt/t/sgid"].mode, found["opt/t/sgid"].gid) == (0o2755, 42)
    assert dict(found["opt/t/cap"].xattrs)["security.capability"].hex().startswith("01000002")
    assert found["opt/t/noted"].xattrs == (("user.note", b"hi"),)
    assert found["opt/t/noperm"].mode == 0
    assert found["opt/t/noperm/in"].size == 2


@pytest.mark.parametrize(
    "source", ["oci:layout:opaque", "oci-archive:oci.tar", "docker-archive:docker.tar", "dir:dir"]
)
def test_images_in_files_are_pulled(udockpy: Udockpy, zoo: Zoo, source: str) -> None:
    transport, path = source.split(":", 1)
    row = pull(udockpy, f"{transport}:{zoo.folder}/{path}", "own/name:1")
    assert row["name"] == "docker.io/own/name:1"
    assert_same(row["rootfs"], zoo.unpacked("opaque"))


def test_the_store_is_a_layout_that_other_tools_read(
    udockpy: Udockpy, zoo: Zoo, tmp_path: Path
) -> None:
    row = pull(udockpy, "--insecure", zoo.reference("opaque:gz"))
    other = pull(udockpy, "--insecure", zoo.reference("base:gz"))
    store = f"{udockpy.home}/images"
    run("umoci", "unpack", "--rootless", "--image", f"{store}:{row['name']}", tmp_path / "umoci")
    assert_same(row["rootfs"], tmp_path / "umoci/rootfs")
    policy = ("skopeo", "--insecure-policy")
    run(*policy, "copy", "-q", f"oci:{store}:{other['name']}", f"dir:{tmp_path / 'dir'}")
    copied = json.loads((tmp_path / "dir/manifest.json").read_text())
    assert [layer["digest"] for layer in copied["layers"]] == zoo.layers("base")


@pytest.mark.parametrize("flavour", ["tls", "basic", "token"])
def test_authorities_and_passwords(
    udockpy: Udockpy, registries: Registries, zoo: Zoo, flavour: str
) -> None:
    host = registries.hosts[flavour]
    reference = f"{host}/env/base:gz"
    said = udockpy.refusal("pull", reference)
    assert "certificate is not trusted" in said
    assert f"certs.d/{host}" in said
    trusting = ("--cert-dir", registries.certificates)
    if flavour == "basic":
        said = udockpy.refusal("pull", "-q", *trusting, reference)
        assert "denied: it wants to know who you are" in said
        assert f"udockpy login {host}" in said
    if flavour != "tls":
        login = ("login", *trusting, "--username", USER, "--password-stdin", host)
        assert "denied" in udockpy.refusal(*login, input=b"wrong\n")
        assert not list(udockpy.cwd.rglob("*.json"))
        assert "logged in" in udockpy.output(*login, input=f"{PASSWORD}\n".encode())
        (kept,) = udockpy.cwd.rglob("*.json")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        # skopeo takes what we keep, and we what it keeps.
        inspect = ("skopeo", "inspect", "--cert-dir", registries.certificates, "--authfile", kept)
        assert json.loads(run(*inspect, f"docker://{reference}"))["Architecture"] == "amd64"
    folder = udockpy.cwd / ".config/containers/certs.d" / host
    folder.mkdir(parents=True)
    shutil.copy(registries.certificates / "ca.crt", folder)
    pull(udockpy, reference)
    assert "gz" in udockpy.output("tags", f"{host}/env/opaque").split()
    if flavour != "tls":
        assert udockpy.output("logout", host) == "logged out"
        assert udockpy.output("logout", host) == "was not logged in"
        assert PASSWORD not in kept.read_text()
    if flavour == "basic":
        assert "denied" in udockpy.refusal("tags", f"{host}/env/base")


def test_an_identity_token_stands_for_the_password(
    udockpy: Udockpy, registries: Registries, zoo: Zoo
) -> None:
    host = registries.hosts["token"]
    auths = {"auths": {host: {"auth": "", "identitytoken": "identity-of-tester"}}}
    (udockpy.cwd / "auth.json").write_text(json.dumps(auths))
    udockpy.environ["REGISTRY_AUTH_FILE"] = "auth.json"
    trusting = ("--cert-dir", registries.certificates)
    pull(udockpy, *trusting, f"{host}/env/base:gz")
    (udockpy.cwd / "auth.json").write_text(json.dumps(auths).replace("of-tester", "of-nobody"))
    assert "denied" in udockpy.refusal("pull", "-q", *trusting, f"{host}/env/base:gz")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("base:none", "not found"),
        ("none:gz", "not found"),
        ("base@sha256:" + "0" * 64, "not found"),
        ("Base", 'the part "Base"'),
    ],
)
def test_images_that_are_not_there(udockpy: Udockpy, zoo: Zoo, name: str, reason: str) -> None:
    assert reason in udockpy.refusal("pull", "-q", "--insecure", zoo.reference(name))
    assert udockpy.state() == []


def test_a_registry_without_tls_is_used_only_when_allowed(udockpy: Udockpy, zoo: Zoo) -> None:
    reference = zoo.reference("base:gz")
    assert "--insecure" in udockpy.refusal("pull", reference)
    udockpy.environ["UDOCKPY_INSECURE_REGISTRIES"] = zoo.registries.http
    pull(udockpy, reference)


def test_a_platform_that_is_not_there(udockpy: Udockpy, zoo: Zoo) -> None:
    words = ("pull", "-q", "--insecure", "--platform")
    said = udockpy.refusal(*words, "linux/s390x", zoo.reference("multi:oci"))
    assert "linux/s390x is wanted, there is linux/amd64, linux/arm64" in said
    assert "it is for linux/amd64" in udockpy.refusal(
        *words, "linux/arm64", zoo.reference("base:gz")
    )
    row = pull(udockpy, "--insecure", "--platform", "linux/arm64", zoo.reference("multi:list"))
    assert row["platform"] == "linux/arm64"


def test_blobs_that_are_not_what_they_should_be(
    udockpy: Udockpy, registries: Registries, zoo: Zoo
) -> None:
    reference = zoo.reference("base:gz")
    (layer,) = zoo.layers("base")
    blob = registries.blob(layer)
    good = blob.read_bytes()
    try:
        blob.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        assert "is not the blob" in udockpy.refusal("pull", "-q", "--insecure", reference)
        blob.write_bytes(good[:-100])
        said = udockpy.refusal("pull", "-q", "--insecure", reference)
        assert "cut off" in said or "unexpected answer 416" in said
    finally:
        blob.write_bytes(good)
    assert udockpy.state() == []
    # What came before the cut need not come again.
    partial = udockpy.home / "downloads" / layer.replace(":", "-")
    assert partial.read_bytes() == good[:-100]
    done = udockpy("pull", "--insecure", reference)
    assert (done.returncode, done.stdout.decode().strip()) == (0, reference)
    assert "are there" in done.stderr.decode()
    assert not partial.exists()


def test_two_pulls_at_once_bring_each_blob_once(udockpy: Udockpy, zoo: Zoo) -> None:
    words = udockpy.words("pull", "--insecure", zoo.reference("opaque:gz"))
    how: dict[str, Any] = {"cwd": udockpy.cwd, "env": udockpy.environ}
    both = [
        subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **how)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    lines = [line for part in said for line in part.splitlines() if "layer" in line]
    assert len(lines) == 6
    assert sum("is there" in line for line in lines) == 3


def test_a_second_pull_brings_nothing(udockpy: Udockpy, zoo: Zoo) -> None:
    pull(udockpy, "--insecure", zoo.reference("opaque:gz"))
    said = udockpy("pull", "--insecure", zoo.reference("opaque:v2s2")).stderr.decode()
    lines = [line for line in said.splitlines() if "layer" in line]
    assert len(lines) == 3
    assert all("is there" in line for line in lines)
    assert len(os.listdir(udockpy.home / "trees")) == 1


def test_what_no_image_needs_goes_with_the_last_that_did(udockpy: Udockpy, zoo: Zoo) -> None:
    base, changed = zoo.reference("base:gz"), zoo.reference("changed:gz")
    for reference in (base, changed):
        pull(udockpy, "--insecure", reference)
    blobs = udockpy.home / "images/blobs/sha256"
    shared = zoo.layers("base")[0].partition(":")[2]
    udockpy.output("rmi", changed)
    assert (blobs / shared).exists()
    udockpy.output("rmi", base.removesuffix(":gz") + ":gz")
    assert os.listdir(blobs) == []
    assert udockpy.state() == []
    assert "no such image" in udockpy.refusal("rmi", base)


def test_an_image_is_run_by_its_reference(udockpy: Udockpy, zoo: Zoo) -> None:
    reference = f"docker://{zoo.reference('base:gz')}"
    udockpy.environ["UDOCKPY_INSECURE_REGISTRIES"] = zoo.registries.http
    done = udockpy("run", "--rm", reference, "/bin/cat", "/etc/issue")
    assert (done.returncode, done.stdout) == (0, b"zoo\n"), text(done)
    assert b"layer 1/1" in done.stderr
    assert udockpy.output("run", "--rm", reference, "/bin/cat", "/etc/issue") == "zoo"
    # The tree is a cache.
    shutil.move(udockpy.home / "trees", udockpy.home / "gone")
    name = zoo.reference("base:gz")
    assert udockpy.output("exec", name, "/bin/cat", "/etc/issue") == "zoo"
    container = udockpy.output("create", reference)
    udockpy.output("rmi", name)
    assert udockpy.output("run", container, "/bin/cat", "/etc/issue") == "zoo"


def test_a_bare_word_is_not_downloaded(udockpy: Udockpy) -> None:
    assert "no such sandbox, container or image" in udockpy.refusal("run", "mistyped", "true")


def test_inspect_tells_what_the_image_says(udockpy: Udockpy, zoo: Zoo) -> None:
    reference = zoo.reference("opaque:gz")
    pull(udockpy, "--insecure", reference)
    (found,) = json.loads(udockpy.output("inspect", reference))
    assert found["config"]["config"]["User"] == "1234:5678"
    assert found["digest"] == image_of(udockpy, reference)["digest"]
    assert len(found["manifest"]["layers"]) == 3


def test_a_pull_that_is_killed_at_any_moment_is_done_by_the_next(
    udockpy: Udockpy, zoo: Zoo
) -> None:
    reference = zoo.reference("opaque:gz")
    words = udockpy.words("pull", "--insecure", reference)
    how: dict[str, Any] = {"cwd": udockpy.cwd, "env": udockpy.environ}
    for milliseconds in range(250, 600, 50):
        process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how
        )
        time.sleep(milliseconds / 1000)
        process.kill()
        process.wait()
    assert_same(pull(udockpy, "--insecure", reference)["rootfs"], zoo.unpacked("opaque"))
    udockpy.output("rmi", reference)
    assert udockpy.state() == []
    assert os.listdir(udockpy.home / "images/blobs/sha256") == []
    assert not (udockpy.home / "downloads").exists()


@pytest.mark.parametrize("flavour", ["http", "basic", "token"])
def test_what_is_pushed_others_pull(
    udockpy: Udockpy, registries: Registries, zoo: Zoo, tmp_path: Path, flavour: str
) -> None:
    pull(udockpy, f"oci:{zoo.layout}:opaque", "own:1")
    host = registries.hosts[flavour]
    target = f"{host}/pushed/{flavour}:1"
    how = ("--insecure",) if flavour == "http" else ("--cert-dir", registries.certificates)
    if flavour != "http":
        # Whoever has not said who he is may not push.
        assert "denied" in udockpy.refusal("push", "-q", *how, "own:1", target)
        login = ("login", *how, "--username", USER, "--password-stdin", host)
        udockpy.output(*login, input=f"{PASSWORD}\n".encode())
    assert udockpy.output("push", "-q", *how, "own:1", target) == target
    again = udockpy("push", *how, "own:1", target).stderr.decode()
    assert again.count("is there") == 4
    # All registries here have one storage.
    source = f"docker://{registries.http}/pushed/{flavour}:1"
    run(*COPY, "--src-tls-verify=false", source, f"oci:{tmp_path}/back:1")
    run("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/back:1", tmp_path / "bundle")
    row = image_of(udockpy, "docker.io/library/own:1")
    assert_same(row["rootfs"], tmp_path / "bundle/rootfs")
    pull(udockpy, *how, target)
    moved = udockpy("push", *how, target, f"{host}/moved/{flavour}:1")
    assert moved.returncode == 0, text(moved)
    assert f"taken from pushed/{flavour}" in moved.stderr.decode()


def test_what_has_no_layers_is_not_pushed(udockpy: Udockpy, image: str) -> None:
    assert "has no layers" in udockpy.refusal("push", image, "h.org/x")
    assert "no such image" in udockpy.refusal("push", "none", "h.org/x")


def test_an_image_says_how_it_is_run(udockpy: Udockpy, zoo: Zoo) -> None:
    layout = zoo.folder / "says"
    if not layout.exists():
        run("cp", "-a", zoo.layout, layout)
    words = (
        *("--config.entrypoint", "/bin/sh", "--config.entrypoint", "-c"),
        *("--config.cmd", "echo cmd $ZOO $0 $1; pwd", "--config.workingdir", "/opt/t"),
        *("--config.env", "ZOO=zoo", "--config.env", "PATH=/bin"),
    )
    run("umoci", "config", "--image", f"{layout}:base", "--tag", "says", *words)
    pull(udockpy, f"oci:{layout}:says", "says:1")
    for name in ("CWD", "HOME", "TMP"):
        udockpy.environ[f"UDOCKPY_BIND_{name}"] = "no"
    container = udockpy.output("create", "says:1")
    for target in (("--rm", "says:1"), ("--read-only", "says:1"), (container,)):
        assert udockpy.output("run", *target) == "cmd zoo /bin/sh\n/opt/t"
        assert udockpy.output("run", *target, "echo args $PATH $0", "a") == "args /bin a"
        assert udockpy.output("run", "-e", "ZOO=mine", *target).startswith("cmd mine")
        assert udockpy.output("run", "--entrypoint", "/bin/cat", *target, "/etc/issue") == "zoo"
    assert udockpy.output("exec", container, "/bin/cat", "/etc/issue") == "zoo"
    copy = udockpy.output("create", container)
    assert udockpy.output("run", copy) == "cmd zoo /bin/sh\n/opt/t"
    shell = udockpy("shell", container, input=b"echo $0\n")
    assert (shell.returncode, shell.stdout) == (0, b"/bin/sh\n"), text(shell)


def test_what_is_saved_is_loaded_by_us_and_by_others(
    udockpy: Udockpy, zoo: Zoo, tmp_path: Path
) -> None:
    for tag in ("base", "opaque"):
        pull(udockpy, f"oci:{zoo.layout}:{tag}", f"own/{tag}:1")
    udockpy.output("save", "-o", "both.tar", "own/base:1", "own/opaque:1")
    before = [image_of(udockpy, f"docker.io/own/{tag}:1")["digest"] for tag in ("base", "opaque")]
    again = udockpy("save", "own/base:1", "own/opaque:1")
    assert again.stdout == (udockpy.cwd / "both.tar").read_bytes()
    for kind in ("oci-archive", "docker-archive"):
        source = f"{kind}:{udockpy.cwd}/both.tar:docker.io/own/opaque:1"
        run(*COPY, source, f"oci:{tmp_path}/{kind}:x")
        bundle = tmp_path / f"bundle-{kind}"
        run("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/{kind}:x", bundle)
        row = image_of(udockpy, "docker.io/own/opaque:1")
        assert_same(row["rootfs"], bundle / "rootfs")
    udockpy.output("rmi", "own/base:1", "own/opaque:1")
    names = udockpy.output("load", "-q", input=again.stdout).split()
    assert names == ["docker.io/own/base:1", "docker.io/own/opaque:1"]
    assert [image_of(udockpy, name)["digest"] for name in names] == before
    assert list((udockpy.home / "downloads").iterdir()) == []


@pytest.mark.parametrize("archive", ["oci.tar", "docker.tar"])
def test_archives_of_others_are_loaded(udockpy: Udockpy, zoo: Zoo, archive: str) -> None:
    name = udockpy.output("load", "-q", "-i", zoo.folder / archive)
    assert name == "docker.io/zoo/opaque:1"
    assert_same(image_of(udockpy, name)["rootfs"], zoo.unpacked("opaque"))


def test_what_is_no_archive_is_not_loaded(udockpy: Udockpy, box: Path) -> None:
    (udockpy.cwd / "text").write_text("text")
    run("tar", "-cf", udockpy.cwd / "tree.tar", "-C", box, ".")
    assert "no tar archive" in udockpy.refusal("load", "-i", "text")
    assert "not in the archive" in udockpy.refusal("load", "-i", "tree.tar")
    assert "No such file" in udockpy.refusal("load", "-i", "none")


def test_a_mirror_is_asked_first_and_may_be_missing(udockpy: Udockpy, zoo: Zoo) -> None:
    conf = udockpy.cwd / "registries.conf"
    udockpy.environ["CONTAINERS_REGISTRIES_CONF"] = os.fspath(conf)
    conf.write_text(
        '[[registry]]\nprefix = "example.org"\n'
        '[[registry.mirror]]\nlocation = "127.0.0.1:1"\ninsecure = true\n'
        f'[[registry.mirror]]\nlocation = "{zoo.registries.http}/env"\ninsecure = true\n'
    )
    row = pull(udockpy, "example.org/base:gz")
    assert row["name"] == "example.org/base:gz"
    assert_same(row["rootfs"], zoo.unpacked("base"))
