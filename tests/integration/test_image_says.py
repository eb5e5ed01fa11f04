"""What an image says of how it is run, as it is acted on: user, volumes, stop signal, platform."""

from __future__ import annotations

import json
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest
from command import Udockpy
from trees import image_of, pull
from zoo import Zoo


def build(udockpy: Udockpy, image: str, *changes: str, script: str = "true") -> str:
    """An image on another one, by the name that it gets."""
    made = udockpy.output("create", image)
    udockpy.output("exec", "--root", made, "sh", "-c", script)
    words = [word for change in changes for word in ("--change", change)]
    name = udockpy.output("commit", *words, made, "said:1")
    udockpy.output("rm", made)
    return name


def test_the_user_of_an_image_is_taken_on_demand(udockpy: Udockpy, image: str) -> None:
    name = build(udockpy, image, "USER www", script="echo mine >/var/www/f; chown www /var/www/f")
    words = ("run", "--rm", name, "id", "-u")
    myself = subprocess.run(["id", "-u"], check=True, capture_output=True, text=True).stdout.strip()
    assert udockpy.output(*words) == myself
    assert (
        udockpy.output("run", "--rm", "--image-user", name, "sh", "-c", "id -u; id -g") == "33\n33"
    )
    assert udockpy.output("run", "--rm", "--image-user", "--root", name, "id", "-u") == "0"
    assert udockpy.output("run", "--rm", "--image-user", "-u", "5", name, "id", "-u") == "5"
    udockpy.environ["UDOCKPY_IMAGE_USER"] = "yes"
    assert udockpy.output(*words) == "33"
    script = "echo more >>/var/www/f && stat -c %U /var/www/f"
    assert udockpy.output("run", "--rm", name, "sh", "-c", script) == "www"
    # An image that names nobody leaves its user who he is.
    assert udockpy.output("run", "--rm", image, "id", "-u") == myself
    other = build(udockpy, image, "USER nobody-there")
    assert "unknown user" in udockpy.refusal("run", "--rm", other, "true")


def test_volumes_are_directories_of_the_container(udockpy: Udockpy, image: str) -> None:
    script = "mkdir /data; echo old >/data/old; chown 7:8 /data/old"
    name = build(udockpy, image, "VOLUME /data /new/deep ../up /", script=script)
    made = udockpy.output("create", name)
    script = "cat /data/old; ls -d /new/deep; echo x >/data/x; echo y >/new/deep/y; echo z >/etc/z"
    assert udockpy.output("exec", "--root", made, "sh", "-c", script) == "old\n/new/deep"
    # They are no part of what is committed, as with docker.
    assert udockpy.output("diff", made).splitlines() == [
        "C /data",
        "C /etc",
        "A /etc/z",
        "A /new",
        "A /new/deep",
    ]
    udockpy.output("commit", made, "again:1")
    script = "cat /data/old /etc/z; ls /data /new/deep"
    assert udockpy.output("run", "--rm", "again:1", "sh", "-c", script).split() == [
        *("old", "z", "/data:", "old", "/new/deep:")
    ]
    clone = udockpy.output("clone", made)
    assert udockpy.output("exec", clone, "cat", "/new/deep/y") == "y"


def test_volumes_are_written_where_nothing_else_is(udockpy: Udockpy, image: str) -> None:
    script = "mkdir /data; echo old >/data/old; chown 7:8 /data/old"
    name = build(udockpy, image, "VOLUME /data /new", script=script)
    made = udockpy.output("create", name)
    before = udockpy.state()
    script = (
        "stat -c %u:%g /data/old; echo x >/data/x; echo y >/new/y; cat /data/x; echo z 2>&1 >/etc/z"
    )
    for target in (name, made):
        words = ("run", "--root", "--read-only", target, "sh", "-c", script)
        done = udockpy(*words)
        assert done.stdout.splitlines()[:2] == [b"7:8", b"x"], done.stderr
        assert b"Read-only file system" in done.stdout + done.stderr
    assert udockpy.state() == before
    assert udockpy.output("run", "--read-only", made, "cat", "/new/y") == "y"
    assert udockpy("run", "--read-only", name, "cat", "/new/y").returncode == 1


def test_the_stop_signal_is_the_image_s(udockpy: Udockpy, image: str) -> None:
    name = build(udockpy, image, "STOPSIGNAL SIGUSR1")
    script = "trap 'echo heard; exit 3' USR1; echo begun; while :; do sleep 0.1; done"
    words = udockpy.words("run", "--name", "work", name, "sh", "-c", script)
    with subprocess.Popen(
        words, env=udockpy.environ, cwd=udockpy.cwd, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        udockpy.output("stop", "work")
        assert process.wait(20) == 3
        assert process.stdout.read() == b"heard\n"
    plain = build(udockpy, image, "STOPSIGNAL nonsense")
    with subprocess.Popen(
        udockpy.words("run", "--name", "other", plain, "sh", "-c", "echo begun; exec sleep 60"),
        env=udockpy.environ,
        cwd=udockpy.cwd,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        udockpy.output("stop", "other")
        assert process.wait(20) == -signal.SIGTERM


def test_an_image_of_another_platform(udockpy: Udockpy, zoo: Zoo) -> None:
    udockpy.environ["UDOCKPY_INSECURE_REGISTRIES"] = zoo.registries.http
    name = zoo.reference("multi:oci")
    pull(udockpy, "--platform", "linux/amd64", name)
    assert image_of(udockpy, name)["platform"] == "linux/amd64"
    made = udockpy("create", "--platform", "linux/arm64", name)
    assert made.returncode == 0, made.stderr
    assert image_of(udockpy, name)["platform"] == "linux/arm64"
    said = udockpy.refusal("run", "--platform", "linux/s390x", name, "true")
    assert "linux/s390x is wanted, there is linux/amd64, linux/arm64" in said
    container = made.stdout.decode().strip()
    said = udockpy.refusal("run", "--platform", "linux/amd64", container, "true")
    assert "cannot use --platform" in said


@pytest.mark.parametrize("option", ["--dry-run", "--explain"])
def test_nothing_is_pulled_to_show_what_would_be_done(
    udockpy: Udockpy, zoo: Zoo, option: str
) -> None:
    udockpy.environ["UDOCKPY_INSECURE_REGISTRIES"] = zoo.registries.http
    name = zoo.reference("base:gz")
    said = udockpy.refusal("run", option, name, "true")
    assert "the image is not here" in said
    assert f"hint: pull it first: udockpy pull {name}" in said
    assert not (udockpy.home / "images").exists()
    assert "udockpy pull --platform linux/arm64" in udockpy.refusal(
        "run", option, "--platform", "linux/arm64", name
    )
    pull(udockpy, name)
    udockpy.output("run", option, name, "/bin/cat")
    assert udockpy.output("ps", "-a", "--json") == "[]"


def test_what_is_kept_goes_along(udockpy: Udockpy, image: str, tmp_path: Path) -> None:
    """What is not acted on is in every image made of one that says it."""
    name = build(udockpy, image, "EXPOSE 80 53/udp", "LABEL a=b", "VOLUME /data")
    udockpy.output("save", "-o", tmp_path / "saved.tar", name)
    with tarfile.open(tmp_path / "saved.tar") as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        config = archive.extractfile(json.load(manifest)[0]["Config"])
        assert config is not None
        said = json.load(config)["config"]
    assert said["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert said["Labels"] == {"a": "b"}
    assert said["Volumes"] == {"/data": {}}
