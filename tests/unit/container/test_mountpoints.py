from __future__ import annotations

import os
from pathlib import Path

import pytest

from udockpy.container import mountpoints
from udockpy.container.plan import Bind, Identity, Plan
from udockpy.errors import BindError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    (path / "usr" / "lib").mkdir(parents=True)
    (path / "etc").mkdir()
    (path / "lib").symlink_to("usr/lib")
    (path / "abs").symlink_to("/usr")
    (path / "up").symlink_to("../../../usr/lib")
    (path / "round").symlink_to("round")
    (path / "etc" / "resolv.conf").symlink_to("../run/stub")
    (path / "etc" / "passwd").write_text("")
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    (path / "inner").mkdir(parents=True)
    (path / "file").write_text("")
    return path


def settle(root: Path, tmp_path: Path, *binds: Bind) -> mountpoints.Settled:
    plan = Plan(os.fspath(root), ("true",), Identity(1, 1), (), binds)
    return mountpoints.settle(plan, os.fspath(tmp_path / "run"))


def targets(settled: mountpoints.Settled) -> list[str]:
    return [bind.target for bind in settled.plan.binds]


@pytest.mark.parametrize(
    ("target", "resolved"),
    [
        ("/usr/lib", "/usr/lib"),
        ("/lib", "/usr/lib"),
        ("/lib/modules", "/usr/lib/modules"),
        ("/abs/lib/x", "/usr/lib/x"),
        ("/up", "/usr/lib"),
        ("/new", "/new"),
    ],
)
def test_a_target_is_where_the_guests_links_lead(
    root: Path, source: Path, tmp_path: Path, target: str, resolved: str
) -> None:
    settled = settle(root, tmp_path, Bind(os.fspath(source), target))
    assert targets(settled) == [resolved]
    assert settled.missing == ()


def test_a_link_that_dangles_is_covered_itself(root: Path, source: Path, tmp_path: Path) -> None:
    settled = settle(root, tmp_path, Bind(f"{source}/file", "/etc/resolv.conf"))
    assert targets(settled) == ["/etc/resolv.conf"]
    assert settled.missing == ()


def test_a_source_has_no_links_any_more(root: Path, source: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(source)
    settled = settle(root, tmp_path, Bind(f"{tmp_path}/alias/inner", "/x"))
    assert settled.plan.binds[0].source == f"{source}/inner"


def test_missing_directories_come_from_a_skeleton(root: Path, source: Path, tmp_path: Path) -> None:
    binds = (
        Bind(os.fspath(source), "/not/there/yet"),
        Bind(f"{source}/file", "/not/a/file"),
        Bind(os.fspath(source), "/not/there/yet/inner/deeper/still"),
    )
    settled = settle(root, tmp_path, *binds)
    assert targets(settled) == [
        "/not",
        "/not/there/yet",
        "/not/a/file",
        "/not/there/yet/inner/deeper",
        "/not/there/yet/inner/deeper/still",
    ]
    mountpoints.make(settled)
    mountpoints.make(settled)
    made = Path(settled.plan.binds[0].source)
    assert settled.plan.binds[0].read_only
    assert (made / "there" / "yet").is_dir()
    assert (made / "a" / "file").is_file()
    assert (Path(settled.plan.binds[3].source) / "still").is_dir()
    assert sorted(os.listdir(root)) == ["abs", "etc", "lib", "round", "up", "usr"]


def test_a_later_bind_covers_the_skeleton_too(root: Path, source: Path, tmp_path: Path) -> None:
    settled = settle(
        root,
        tmp_path,
        Bind(os.fspath(source), "/not/there"),
        Bind(os.fspath(source), "/not"),
        Bind(os.fspath(source), "/not/inner"),
    )
    assert targets(settled) == ["/not", "/not/there", "/not", "/not/inner"]
    assert settled.missing == (mountpoints.Missing("/not/there", is_dir=True),)


@pytest.mark.parametrize(
    ("name", "target", "reason"),
    [
        ("file", "/etc", "a file cannot cover a directory"),
        ("inner", "/etc/passwd", "a directory cannot cover a file"),
        ("inner", "/etc/passwd/x", "/etc/passwd is not a directory"),
        ("inner", "/round/x", "Too many levels of symbolic links"),
        ("none", "/x", "none: No such file"),
    ],
)
def test_what_cannot_be_bound_is_refused(
    root: Path, source: Path, tmp_path: Path, name: str, target: str, reason: str
) -> None:
    with pytest.raises(BindError, match=reason) as caught:
        settle(root, tmp_path, Bind(f"{source}/{name}", target))
    assert caught.value.exit_code == 125
    assert caught.value.hint
