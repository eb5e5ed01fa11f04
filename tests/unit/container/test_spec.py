"""Options become a plan."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from udockpy import config
from udockpy.container import spec
from udockpy.container.caller import Caller
from udockpy.container.options import RunOptions
from udockpy.container.plan import Bind, Identity, Plan
from udockpy.container.users import Accounts
from udockpy.errors import UsageError

CONFIG = config.load("/nonexistent", {}, {})._replace(system_binds=(), bind_tmp=False)
ACCOUNTS = Accounts("root:x:0:0::/root:/bin/sh\nwww:x:33:33::/var/www:/bin/sh\n", "")
ENVIRON = {
    "TERM": "xterm",
    "LD_PRELOAD": "/evil.so",
    "UDOCKPY_HOME": "/s",
    "JOB": "7",
    "PATH": "/host",
}
PLACE = spec.Place(
    "/rootfs", "/state/fakedb", "/state/cache", ACCOUNTS, (Bind("/p", "/etc/passwd", True),)
)


def plan(cwd: Path, place: spec.Place = PLACE, **options: object) -> Plan:
    caller = Caller(1001, 1002, (1002, 4), "/nonexistent", os.fspath(cwd), ENVIRON)
    return spec.plan(CONFIG, caller, place, RunOptions(target="t", **options))  # type: ignore[arg-type]


def test_an_ordinary_run_is_the_user_himself(tmp_path: Path) -> None:
    made = plan(tmp_path, command=("id",))
    assert made.identity == Identity(1001, 1002, (1002, 4), pretend=False)
    assert made.fakedb == ""
    assert PLACE.merged[0] in made.binds
    assert made.chdir == os.fspath(tmp_path)
    environ = dict(made.environment)
    assert environ["JOB"] == "7"
    assert environ["PATH"] == config.GUEST_PATH
    assert not {"LD_PRELOAD", "UDOCKPY_HOME"} & set(environ)


def test_a_pretended_root_starts_clean(tmp_path: Path) -> None:
    made = plan(tmp_path, root=True)
    assert made.identity == Identity(0, 0, (0,), pretend=True)
    assert made.fakedb == "/state/fakedb"
    assert made.binds == ()
    assert made.chdir == "/"
    assert dict(made.environment) == {
        "TERM": "xterm",
        "PATH": config.GUEST_PATH,
        "HOME": "/root",
        "USER": "root",
        "LOGNAME": "root",
    }


def test_another_user_is_pretended(tmp_path: Path) -> None:
    made = plan(tmp_path, user="www")
    assert made.identity == Identity(33, 33, (33,), pretend=True)
    assert dict(made.environment)["HOME"] == "/var/www"


def test_the_user_by_his_own_number_is_not_pretended(tmp_path: Path) -> None:
    assert not plan(tmp_path, user="1001:1002").identity.pretend


def test_binds_of_the_command_line_come_last(tmp_path: Path) -> None:
    made = plan(tmp_path, bind=("/b:/etc", "/a:/etc/passwd:ro"))
    assert made.binds[-2:] == (Bind("/b", "/etc"), Bind("/a", "/etc/passwd", True))


def test_the_environment_of_the_command_line_comes_last(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# comment\n\nA=file\nB=two words = x\nJOB\nNONE\n")
    made = plan(
        tmp_path, root=True, env_file=(os.fspath(file),), env=("A=word", "EMPTY=", "PATH=/x")
    )
    environ = dict(made.environment)
    assert {key: environ.get(key) for key in ("A", "B", "JOB", "NONE", "EMPTY", "PATH")} == {
        "A": "word",
        "B": "two words = x",
        "JOB": "7",
        "NONE": None,
        "EMPTY": "",
        "PATH": "/x",
    }


@pytest.mark.parametrize("word", ["", "=x", "a b=c"])
def test_malformed_variables_are_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(UsageError, match="malformed environment variable"):
        plan(tmp_path, env=(word,))


def test_a_missing_environment_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        plan(tmp_path, env_file=(os.fspath(tmp_path / "none"),))


def test_an_environment_file_may_be_a_pipe(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        with os.fdopen(writer, "wb") as file:
            file.write(b"A=piped\n")
        scripts = PLACE._replace(says=spec.Says(scripts=True))
        made = plan(tmp_path, scripts, command=("id",), env_file=(f"/dev/fd/{reader}",))
    finally:
        os.close(reader)
    assert dict(made.environment)["A"] == "piped"
    assert "A=piped" in made.command


def test_a_relative_working_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not an absolute path"):
        plan(tmp_path, workdir="work")


def test_a_host_name_needs_its_namespace(tmp_path: Path) -> None:
    assert plan(tmp_path, hostname="node", net=True).namespaces == ("uts", "net")


def test_without_a_command_it_is_the_shell(tmp_path: Path) -> None:
    assert plan(tmp_path).command == ("/bin/sh",)


def test_a_plan_describes_itself_and_is_json(tmp_path: Path) -> None:
    made = plan(tmp_path, command=("id",), read_only=True)
    assert "root /rootfs read-only" in made.describe()
    assert "bind /p at /etc/passwd read-only" in made.describe()
    assert json.loads(json.dumps(made.document()))["identity"]["uid"] == 1001


@pytest.mark.parametrize(
    ("entrypoint", "words", "wanted"),
    [
        (None, (), ("entry", "-x", "cmd")),
        (None, ("a", "b"), ("entry", "-x", "a", "b")),
        ("own", (), ("own",)),
        ("own", ("a",), ("own", "a")),
        ("", ("a",), ("a",)),
        ("", (), ()),
    ],
)
def test_the_command_is_put_together_as_docker_does(
    entrypoint: str | None, words: tuple[str, ...], wanted: tuple[str, ...]
) -> None:
    says = spec.Says(("entry", "-x"), ("cmd",))
    options = RunOptions("t", command=words, entrypoint=entrypoint)
    assert spec.command(says, options) == wanted
