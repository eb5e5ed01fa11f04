"""Mistakes and hostile surroundings: a clear error, a documented status, and nothing half made."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import Udockpy
from support.world import missing

from udockpy.engines import ENGINES


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "the directory is empty"),
        (lambda path: path.mkdir(mode=0), "Permission denied"),
        (lambda path: path.write_text("x"), "a file, where a directory is needed"),
    ],
    ids=["missing", "empty", "unreadable", "file"],
)
@pytest.mark.parametrize(
    "verb", [("run",), ("exec",), ("shell",), ("export",), ("create",)], ids=lambda verb: verb[0]
)
def test_a_sandbox_that_is_none(
    udockpy: Udockpy, verb: tuple[str], make: object, message: str
) -> None:
    make(udockpy.cwd / "bad")  # type: ignore[operator]
    command = () if verb[0] in ("shell", "export", "create") else ("true",)
    said = udockpy.refusal(*verb, "./bad", *command)
    assert message in said
    assert "bad" in said
    assert udockpy.state() == []


def test_an_unknown_name(udockpy: Udockpy) -> None:
    assert "cannot find: nosuch: no such sandbox, container or image" in udockpy.refusal(
        "run", "nosuch", "true"
    )


@pytest.mark.parametrize(
    "bind", ["/nonexistent", "relative-missing:/x", "/nonexistent/file:/etc/issue:ro"]
)
def test_a_bind_without_source(udockpy: Udockpy, box: Path, bind: str) -> None:
    assert "cannot bind: /" in udockpy.refusal("run", "-v", bind, box, "true")


@pytest.mark.parametrize(
    "bind", ["", ":", "/usr:", "/usr:relative", "/usr:/x:rox", "/usr:/x:ro:y", "/usr:/"]
)
def test_a_malformed_bind(udockpy: Udockpy, box: Path, bind: str) -> None:
    assert "malformed bind: " in udockpy.refusal("run", "-v", bind, box, "true")


@pytest.mark.parametrize("word", ["", "=x"])
def test_a_malformed_variable(udockpy: Udockpy, box: Path, word: str) -> None:
    assert "malformed environment variable: " in udockpy.refusal("run", "-e", word, box, "true")


@pytest.mark.parametrize("user", ["nosuch", "", "www:nosuch", "-1", "4294967295"])
def test_an_unknown_user(udockpy: Udockpy, box: Path, user: str) -> None:
    assert "unknown " in udockpy.refusal("run", "-u", user, box, "true")


def test_an_unknown_engine(udockpy: Udockpy, box: Path) -> None:
    assert "not one of auto, userns, trap, ptrace" in udockpy.refusal(
        "run", "--engine", "docker", box, "true"
    )


@pytest.mark.parametrize(
    "words", [("run",), ("run", "--nosuch", "x"), ("nosuch",), ("exec", "x"), ("rm",)]
)
def test_a_command_line_that_means_nothing(udockpy: Udockpy, words: tuple[str, ...]) -> None:
    assert "bad command line" in udockpy.refusal(*words)


def test_a_program_that_is_not_there(udockpy: Udockpy, box: Path) -> None:
    assert "nosuch" in udockpy.refusal("run", box, "nosuch", status=127)
    assert "/no/such" in udockpy.refusal("run", box, "/no/such", status=127)


def test_a_program_that_cannot_be_invoked(udockpy: Udockpy, box: Path) -> None:
    assert "Permission denied" in udockpy.refusal("run", box, "/etc/issue", status=126)
    assert "/etc" in udockpy.refusal("run", box, "/etc", status=126)


def test_a_missing_interpreter(udockpy: Udockpy, box: Path) -> None:
    (box / "bin/script").write_text("#!/no/such/interpreter\n")
    (box / "bin/script").chmod(0o755)
    said = udockpy.refusal("run", box, "script", status=127)
    assert "its interpreter /no/such/interpreter does not exist in the guest" in said


def test_a_program_of_another_architecture(udockpy: Udockpy, box: Path) -> None:
    header = bytearray((box / "bin/busybox").read_bytes()[:4096])
    header[18:20] = (22).to_bytes(2, "little")
    (box / "bin/foreign").write_bytes(header)
    (box / "bin/foreign").chmod(0o755)
    said = udockpy.refusal("run", box, "foreign", status=123)
    assert "/bin/foreign is a program for s390x" in said


def test_a_working_directory_that_is_not_there(udockpy: Udockpy, box: Path) -> None:
    assert "/nosuch" in udockpy.refusal("run", "-w", "/nosuch", box, "true", status=126)


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_cut_archive(udockpy: Udockpy, box: Path, part: float) -> None:
    path = udockpy.cwd / "a.tar.gz"
    subprocess.run(["tar", "-czf", path, "-C", box, "."], check=True)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    said = udockpy.refusal("import", path, "small")
    assert f"cannot read the archive: {path}: damaged, cut off" in said
    assert udockpy.state() == []


def test_an_archive_that_wants_out(udockpy: Udockpy) -> None:
    path = udockpy.cwd / "a.tar"
    (udockpy.cwd / "file").write_text("x")
    subprocess.run(
        ["tar", "-cPf", path, "--transform=s,^,../,", "file"], cwd=udockpy.cwd, check=True
    )
    assert "leaves the destination" in udockpy.refusal("import", path, "bad")
    assert udockpy.state() == []


def test_a_name_that_is_taken_or_bad(udockpy: Udockpy, box: Path, image: str) -> None:
    assert "the name is taken" in udockpy.refusal("import", box, image)
    assert "bad name" in udockpy.refusal("import", box, "a/b")
    assert udockpy.state() == ["imported/small"]


def test_an_export_overwrites_nothing(udockpy: Udockpy, box: Path) -> None:
    (udockpy.cwd / "out.tar").write_text("mine")
    assert "the file exists" in udockpy.refusal("export", "-o", "out.tar", box)
    assert (udockpy.cwd / "out.tar").read_text() == "mine"


def test_a_state_directory_that_cannot_be_written(udockpy: Udockpy, box: Path) -> None:
    udockpy.home.mkdir(mode=0o500)
    for words in (("run", box, "true"), ("import", box, "small"), ("create", box)):
        said = udockpy.refusal(*words)
        assert f"cannot use the state directory: {udockpy.home}" in said
        assert "hint: set UDOCKPY_HOME" in said
    udockpy.home.chmod(0o700)
    assert udockpy.state() == []


def test_a_file_where_the_state_directory_should_be(udockpy: Udockpy, box: Path) -> None:
    udockpy.home.write_text("")
    assert "cannot use the state directory" in udockpy.refusal("run", box, "true")


def test_a_full_quota_leaves_nothing(udockpy: Udockpy, box: Path) -> None:
    """The limit on file sizes stands in for a disk that fills up in the middle of a file."""
    (box / "big").write_bytes(os.urandom(12 << 20))
    limit = (10 << 20, 10 << 20)
    said = udockpy.refusal(
        "import", box, "small", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    assert "big: File too large" in said
    assert udockpy.state() == []


def mounted(options: str) -> tuple[str, ...]:
    """A prefix that runs a command with a tmpfs over $0, without root."""
    script = f'mount -t tmpfs -o {options} tmpfs "$0" && exec "$@"'
    prefix = ("unshare", "-rm", "--", "sh", "-c", script)
    if shutil.which("unshare") is None:
        missing("unshare: not found (apt-get install util-linux)")
    tried = subprocess.run([*prefix, "/tmp", "true"], stderr=subprocess.PIPE, check=False)
    if tried.returncode:
        missing(f"no mounts without root here: {tried.stderr.decode().strip()}")
    return prefix


def test_a_full_disk_leaves_nothing(udockpy: Udockpy, box: Path, tmp_path: Path) -> None:
    udockpy.home.mkdir()
    left = tmp_path / "left"
    look = f'"$@"; status=$?; ls -A {udockpy.home}/imported >{left}; exit $status'
    udockpy.prefix = (*mounted("size=1m"), os.fspath(udockpy.home), "sh", "-c", look, "sh")
    said = udockpy.refusal("import", box, "small")
    assert "No space left on device" in said
    assert "hint: free some space" in said
    assert left.read_text() == ""


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("run", "--engine", "trap", "--root"), "state"),
        (("run", "--engine", "trap"), "state"),
        (("create",), "cannot use the fakedb"),
        (("export", "-o", "out.tar"), "cannot export: out.tar"),
    ],
    ids=["root", "user", "create", "export"],
)
def test_a_disk_without_any_room(
    udockpy: Udockpy, box: Path, tmp_path: Path, words: tuple[str, ...], what: str
) -> None:
    """Whatever writes says what it could not write, and leaves nothing."""
    left = tmp_path / "left"
    fill = 'cd "$1"; cat /dev/zero >fill 2>/dev/null; shift; "$@"; status=$?; '
    look = f"find . -name 'out*' -o -path '*/containers/*' >{left}; exit $status"
    state = os.fspath(udockpy.home)
    udockpy.home.mkdir()
    udockpy.environ["UDOCKPY_HOME"] = f"{state}/state"
    udockpy.prefix = (*mounted("size=64k"), state, "sh", "-c", fill + look, "sh", state)
    command = ("true",) if words[0] == "run" else ()
    said = udockpy.refusal(*words, box, *command)
    assert "No space left on device" in said
    assert what in said
    assert "hint: " in said
    assert left.read_text() == ""


def test_a_read_only_home(udockpy: Udockpy, box: Path) -> None:
    udockpy.home.mkdir()
    udockpy.prefix = (*mounted("ro"), os.fspath(udockpy.home))
    for words in (("run", box, "true"), ("import", box, "small")):
        assert "Read-only file system" in udockpy.refusal(*words)


def test_a_home_that_allows_no_programs(udockpy: Udockpy, box: Path) -> None:
    udockpy.home.mkdir()
    script = '"$@" import "$BOX" small >&2 && exec "$@" exec small true'
    udockpy.environ["BOX"] = os.fspath(box)
    command = [
        *mounted("noexec"),
        os.fspath(udockpy.home),
        "sh",
        "-c",
        script,
        "sh",
        sys.executable,
        "-m",
        "udockpy",
    ]
    done = subprocess.run(
        command, env=udockpy.environ, cwd="/", stderr=subprocess.PIPE, check=False
    )
    assert done.returncode == 125
    assert b"cannot run programs in: " in done.stderr
    assert b"its filesystem is mounted noexec" in done.stderr


@pytest.fixture
def own_copy(udockpy: Udockpy, tmp_path: Path) -> Path:
    """The package in a directory of its own, to spoil its helpers; returns where those are."""
    source = udockpy.environ["PYTHONPATH"]
    copy = tmp_path / "with space"
    shutil.copytree(
        f"{source}/udockpy", copy / "udockpy", ignore=shutil.ignore_patterns("__pycache__")
    )
    # Dependencies still come from where they were.
    udockpy.environ["PYTHONPATH"] = os.fspath(copy)
    return copy / "udockpy/libexec"


def test_the_package_can_lie_anywhere(udockpy: Udockpy, box: Path, own_copy: Path) -> None:
    assert os.fspath(own_copy) in udockpy.output("run", "--dry-run", box, "true")
    assert udockpy.output("run", box, "cat", "/etc/issue") == "guest"


def test_helpers_that_are_gone(udockpy: Udockpy, box: Path, own_copy: Path) -> None:
    shutil.rmtree(own_copy)
    for engine in ("auto", *ENGINES):
        said = udockpy.refusal("run", "--engine", engine, box, "true")
        assert f"cannot find a helper: {own_copy}/udockpy-" in said
        assert "hint: reinstall udockpy" in said


def test_helpers_that_are_not_executable(udockpy: Udockpy, box: Path, own_copy: Path) -> None:
    for helper in own_copy.iterdir():
        helper.chmod(0o644)
    assert "not executable" in udockpy.refusal("run", box, "true")


def test_a_helper_that_is_no_program(udockpy: Udockpy, box: Path, own_copy: Path) -> None:
    for name in (engine.helper for engine in ENGINES.values()):
        (own_copy / name).write_text("garbage")
        (own_copy / name).chmod(0o755)
    assert "cannot be run (Exec format error)" in udockpy.refusal("run", box, "true")
