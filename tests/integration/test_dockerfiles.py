"""build of Dockerfiles: what comparing with buildah (test_buildah.py) does not tell."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import Udockpy

from udockpy.engines import ENGINES
from udockpy.errors import BuildError
from udockpy.operations import dockerfiles


@pytest.fixture
def context(udockpy: Udockpy, image: str) -> Path:
    """A directory to build in; the image `small` is there."""
    assert image == "small"
    folder = udockpy.cwd / "context"
    folder.mkdir()
    return folder


def built(udockpy: Udockpy, context: Path, dockerfile: str, *words: str | Path) -> str:
    """What a build said."""
    (context / "Dockerfile").write_text(dockerfile)
    done = udockpy("build", "-t", "made", *words, context)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().splitlines()[-1] == "docker.io/library/made:latest"
    return done.stdout.decode() + done.stderr.decode()


def failed(udockpy: Udockpy, context: Path, dockerfile: str, *words: str | Path) -> str:
    """The line of a build that must fail, and make no image."""
    (context / "Dockerfile").write_text(dockerfile)
    done = udockpy("build", "-t", "made", *words, context)
    assert done.returncode == 125
    said = [line for line in done.stderr.decode().splitlines() if not line.startswith("hint:")]
    assert udockpy("inspect", "made").returncode == 125
    assert os.listdir(udockpy.home / "builds") == []
    return said[-1].replace("context/", "")


def inspected(udockpy: Udockpy, name: str = "made") -> Any:
    (found,) = json.loads(udockpy.output("inspect", name))
    return found


def said_in(udockpy: Udockpy, *command: str) -> str:
    return udockpy.output("exec", "--root", "made", *command)


def test_a_layer_for_each_instruction_that_changes_files(udockpy: Udockpy, context: Path) -> None:
    built(
        udockpy,
        context,
        'FROM small\nENV A=1\nRUN echo 1 >/1\nRUN true\nWORKDIR /etc\nWORKDIR /new\nCMD ["x"]\n',
    )
    found = inspected(udockpy)
    history = found["config"]["history"][1:]
    assert [(step["created_by"], "empty_layer" in step) for step in history] == [
        ("ENV A=1", True),
        ("RUN echo 1 >/1", False),
        ("RUN true", True),
        ("WORKDIR /etc", True),
        ("WORKDIR /new", False),
        ('CMD ["x"]', True),
    ]
    assert len(found["manifest"]["layers"]) == 3


def test_what_is_known_is_not_done_again(udockpy: Udockpy, context: Path) -> None:
    (context / "a").write_text("1")
    text = "FROM small\nARG V=1\nRUN echo run one\nCOPY a /a\nRUN echo run two >&2; cat /a >/b\n"
    first = built(udockpy, context, text)
    assert ("run one\n" in first, "run two\n" in first) == (True, True)
    digest = inspected(udockpy)["digest"]
    os.utime(context / "a", (1, 1))
    again = built(udockpy, context, text)
    assert again.count("known already") == 3
    assert "run" not in again.replace("RUN", "").replace("echo run", "")
    assert inspected(udockpy)["manifest"]["layers"]
    (context / "a").write_text("2")
    third = built(udockpy, context, text)
    assert ("run one\n" in third, "run two\n" in third) == (False, True)
    assert said_in(udockpy, "cat", "/b") == "2"
    assert inspected(udockpy)["digest"] != digest
    assert "run one\n" in built(udockpy, context, text, "--build-arg", "V=2")
    assert "run one\n" in built(udockpy, context, text, "--no-cache")


def test_a_stage_is_known_by_what_is_copied_of_it(udockpy: Udockpy, context: Path) -> None:
    text = "FROM small AS a\nRUN echo {} >/log; echo 1 >/f\nFROM scratch\nCOPY --from=a /f /g\n"
    built(udockpy, context, text.format("one"))
    digest = inspected(udockpy)["config"]["rootfs"]
    assert built(udockpy, context, text.format("one")).count("known already") == 2
    again = built(udockpy, context, text.format("two"))
    assert ("RUN: known" in again, "COPY: known" in again) == (False, True)
    assert inspected(udockpy)["config"]["rootfs"] == digest


def test_what_was_removed_is_made_again(udockpy: Udockpy, context: Path) -> None:
    text = "FROM small\nRUN echo run; echo x >/x\n"
    built(udockpy, context, text)
    udockpy.output("rmi", "made")
    assert "run\n" in built(udockpy, context, text)
    assert said_in(udockpy, "cat", "/x") == "x"


def test_builds_can_be_repeated_to_the_byte(udockpy: Udockpy, context: Path, box: Path) -> None:
    (context / "a").write_text("a")
    (context / "Dockerfile").write_text(
        'FROM scratch\nCOPY a busybox /bin/\nRUN ["/bin/busybox", "mkdir", "/d"]\n'
    )
    (context / "busybox").write_bytes((box / "bin/busybox").read_bytes())
    (context / "busybox").chmod(0o755)
    udockpy.environ["SOURCE_DATE_EPOCH"] = "1000000000"
    digests = set()
    for time in (1, 2_000_000_000):
        os.utime(context / "a", (1_000, 1_000))
        os.utime(context / "busybox", (time, time) if time > 1_000_000_000 else None)
        udockpy.output("build", "-q", "--no-cache", "-t", "made", context)
        digests.add(inspected(udockpy)["digest"])
    assert len(digests) == 1


def test_one_layer(udockpy: Udockpy, context: Path) -> None:
    text = "FROM small\nRUN echo 1 >/1; chown 5 /etc/issue\nRUN rm /1; echo 2 >/2\nENV A=1\n"
    built(udockpy, context, text, "--squash")
    found = inspected(udockpy)
    assert len(found["manifest"]["layers"]) == len(found["config"]["rootfs"]["diff_ids"]) == 2
    assert found["config"]["config"]["Env"] == ["A=1"]
    text = "FROM small AS a\nRUN echo 1 >/1; chown 5 /etc/issue\nFROM a\nRUN rm /1; echo 2 >/2\n"
    built(udockpy, context, text, "--squash")
    assert len(inspected(udockpy)["manifest"]["layers"]) == 2
    script = "ls /1; cat /2; stat -c %u /etc/issue"
    done = udockpy("exec", "--root", "made", "sh", "-c", script)
    assert done.stdout == b"2\n5\n"


def test_only_the_stages_that_are_needed(udockpy: Udockpy, context: Path) -> None:
    text = (
        "FROM small AS a\nRUN echo a >/a\nFROM small AS bad\nRUN false\n"
        "FROM a AS b\nRUN echo b >/b\n"
    )
    assert "false" not in built(udockpy, context, text)
    built(udockpy, context, text, "--target", "a")
    assert udockpy("exec", "made", "cat", "/b").returncode == 1
    assert said_in(udockpy, "cat", "/a") == "a"
    assert "there is a, bad, b" in failed_target(udockpy, context)


def failed_target(udockpy: Udockpy, context: Path) -> str:
    return udockpy("build", "-t", "other", "--target", "c", context).stderr.decode()


def test_here_documents(udockpy: Udockpy, context: Path) -> None:
    text = """\
FROM small
ENV WHO=me
RUN <<EOF
echo $WHO >/one
echo $0 >>/one
EOF
RUN <<-EOF
#!/bin/cat
as it is
	EOF
RUN cat <<A >/two && cat <<"B" >>/two
$WHO
A
$WHO
B
COPY <<a <<'b' /files/
$WHO
a
$WHO
b
COPY --chmod=700 <<a /bin/x
#!/bin/sh
a
"""
    assert "#!/bin/cat\nas it is\n" in built(udockpy, context, text)
    script = "cat /one /two /files/a /files/b; stat -c %a /bin/x"
    assert " ".join(said_in(udockpy, "sh", "-c", script).split()) == (
        "me /bin/sh me $WHO me $WHO 700"
    )


def test_secrets_are_shown_and_not_kept(udockpy: Udockpy, context: Path) -> None:
    secret = udockpy.cwd / "secret"
    secret.write_text("s3cret")
    text = (
        "FROM small\nRUN --mount=type=secret,id=key cat /run/secrets/key\n"
        'RUN --mount=type=secret,id=key,env=KEY echo "is $KEY"\n'
        "RUN --mount=type=secret,id=none ls /run/secrets/none || echo nothing\n"
    )
    said = built(udockpy, context, text, "--secret", f"id=key,src={secret}")
    assert "s3cretis s3cret\nnothing\n" in said
    assert "s3cret" not in json.dumps(inspected(udockpy))
    assert udockpy("exec", "made", "ls", "/run").returncode == 1


def test_a_cache_mount_is_there_again(udockpy: Udockpy, context: Path) -> None:
    text = "FROM small\nRUN --mount=type=cache,target=/c cat /c/kept; echo kept >/c/kept\n"
    assert "No such file" in built(udockpy, context, text)
    assert "kept\n" in built(udockpy, context, text, "--no-cache").replace(text, "")
    assert udockpy("exec", "made", "ls", "/c").returncode == 1


def test_a_failed_build_names_its_line_and_leaves_the_last_good_step(
    udockpy: Udockpy, context: Path
) -> None:
    text = "FROM small\nRUN echo good >/good\n\nRUN echo bad >/bad; \\\n exit 3\n"
    said = failed(udockpy, context, text)
    assert said == "udockpy: cannot build: Dockerfile:4: RUN failed with status 3"
    kept = ("exec", "localhost/failed-build", "cat")
    assert udockpy.output(*kept, "/good") == "good"
    assert udockpy(*kept, "/bad").returncode == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("COPY none /x", "COPY: none: the context has no such file"),
        ("COPY ../secret /x", "COPY: ../secret: the context has no such file"),
        ("COPY --from=one /none /x", "COPY: /none: the stage or image one has no such file"),
        ("COPY a a /x", "COPY: several files, so the target /x must end with /"),
        ("COPY a", "COPY: write SOURCE... TARGET"),
        ("COPY --chmod=u+x a /x", "COPY: --chmod=u+x is no octal mode"),
        ("COPY --chown=nobody a /x", "COPY: unknown user: nobody"),
        (
            "ADD http://x/y /y",
            "ADD: http://x/y: what it is must be said: ADD --checksum=sha256:...",
        ),
        ("ADD git@x:y /y", "ADD: git@x:y: only http and https are supported"),
        ("COPY http://x/y /y", "COPY: http://x/y: only ADD has URLs"),
        ("ENV A", "ENV: A has no value: write NAME=VALUE"),
        ("ENV A=${B", "ENV: ${B does not end with }"),
        ("EXPOSE x", "EXPOSE: x is no port"),
        ("RUN --mount=type=ssh true", "RUN: mounts of the type ssh are not supported"),
        ("RUN --mount=type=secret,id=key,required true", "RUN: the secret key was not given"),
        ("RUN --network=none true", "RUN: --network=none is not supported"),
        ("USER nobody\nRUN true", "unknown user: nobody"),
    ],
)
def test_what_cannot_be_done_is_named_with_its_line(
    udockpy: Udockpy, context: Path, line: str, said: str
) -> None:
    (context / "a").write_text("a")
    (udockpy.cwd / "secret").write_text("s")
    (context / "Dockerfile").write_text(f"FROM small AS one\nFROM small\n\n{line}\n")
    options = dockerfiles.Build(os.fspath(context), ("made",), quiet=True)
    with pytest.raises(BuildError) as caught:
        dockerfiles.build(options, udockpy.environ)
    number = 4 + line.count("\n")
    assert caught.value.subject.endswith(f"/Dockerfile:{number}")
    assert said in caught.value.reason


def test_neither_the_context_nor_the_image_leads_elsewhere(udockpy: Udockpy, context: Path) -> None:
    outside = udockpy.cwd / "outside"
    outside.mkdir()
    (outside / "f").write_text("outside")
    (context / "link").symlink_to(outside / "f")
    (context / "a").write_text("a")
    said = failed(udockpy, context, "FROM small\nCOPY link /x\n")
    assert "COPY: link: the context has no such file" in said
    text = f"FROM small\nRUN mkdir -p /x; rm -r /x; ln -s {outside} /x\nCOPY a /x/\nCOPY a /x/f\n"
    (context / "Dockerfile").write_text(text.replace("ln -s", "/bin/busybox ln -s"))
    udockpy("build", "-t", "made", context)
    assert [path.name for path in outside.iterdir()] == ["f"]
    assert (outside / "f").read_text() == "outside"


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_commands_run_as_root_or_the_user_in_any_engine(
    udockpy: Udockpy, context: Path, engine: str
) -> None:
    text = (
        "FROM small\nRUN chown www:www /etc/issue && mkdir -m 777 /w && id -u >/w/a\n"
        "USER www\nWORKDIR /w\nRUN id -u >b && pwd >>b\n"
    )
    built(udockpy, context, text, "--engine", engine)
    script = "stat -c '%u:%g %n' /etc/issue a b; cat a b"
    shown = udockpy.output("exec", "--root", "-w", "/w", "made", "sh", "-c", script)
    assert shown.splitlines() == ["33:33 /etc/issue", "0:0 a", "33:33 b", "0", "33", "/w"]


def test_platforms_names_and_other_dockerfiles(udockpy: Udockpy, context: Path) -> None:
    (context / "a").write_text("a")
    (context / "b").write_text("b")
    other = udockpy.cwd / "Other"
    other.write_text("FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY . /\n")
    (udockpy.cwd / "Other.dockerignore").write_text("b\n")
    (context / ".dockerignore").write_text("a\n")
    words = ("-t", "one", "-t", "two/three:4", "-f", other, "--platform", "linux/arm64/v8")
    said = udockpy("build", "-q", *words, "--build-arg", "NONE=1", context)
    assert said.stdout == b"docker.io/library/one:latest\ndocker.io/two/three:4\n"
    assert said.stderr == b"udockpy: the build argument NONE is not used\n"
    found = inspected(udockpy, "two/three:4")
    config = found["config"]
    assert (config["architecture"], config["variant"]) == ("arm64", "v8")
    assert config["config"]["Labels"] == {"arch": "arm64"}
    done = udockpy("save", "one", "-o", "saved.tar")
    assert done.returncode == 0, done.stderr


def test_a_dockerfile_becomes_a_file_or_a_sandbox(udockpy: Udockpy, context: Path) -> None:
    (context / "a").write_text("a")
    text = 'FROM small\nARG V\nENV V=$V\nCOPY a /copied\nENTRYPOINT ["/bin/echo", "says"]\n'
    (context / "Dockerfile").write_text(text)
    words = ("build", "--build-arg", "V=1", "--sandbox", "sandbox", context / "Dockerfile")
    assert udockpy(*words).returncode == 0
    assert udockpy.output("run", "./sandbox", "this") == "says this"
    assert udockpy.output("exec", "./sandbox", "sh", "-c", "echo $V; cat /copied") == "1\na"
    kept = [row["name"] for row in json.loads(udockpy.output("images", "--json"))]
    assert kept == ["small"]


def test_what_a_killed_build_left_is_garbage(udockpy: Udockpy, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM small\nRUN echo begun; sleep 60\n")
    build = subprocess.Popen(
        udockpy.words("build", "-t", "made", context),
        cwd=udockpy.cwd,
        env=udockpy.environ,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert build.stdout
    assert build.stdout.readline() == b"begun\n"
    os.killpg(build.pid, signal.SIGKILL)
    build.wait()
    build.stdout.close()
    assert len(os.listdir(udockpy.home / "builds")) == 1
    assert "builds/" in udockpy.output("gc")
    assert os.listdir(udockpy.home / "builds") == []
    built(udockpy, context, "FROM small\nRUN true\n")
    assert "build cache" in udockpy.output("cache", "clean", "--dry-run")


class Served(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"served")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Served) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/dir/name"
        server.shutdown()
        thread.join()


def test_what_is_fetched_is_what_was_said(udockpy: Udockpy, context: Path, url: str) -> None:
    value = hashlib.sha256(b"served").hexdigest()
    add = f"FROM small\nADD --checksum=sha256:{value}"
    built(udockpy, context, f"{add} --chown=www {url} /to/\n")
    shown = said_in(udockpy, "sh", "-c", "stat -c '%u %a' /to/name; cat /to/name")
    assert shown.splitlines() == ["33 600", "served"]
    udockpy.output("rmi", "made")
    said = failed(udockpy, context, f"{add.replace(value, '0' * 64)} {url} /to\n")
    assert f"its checksum is sha256:{value}" in said
