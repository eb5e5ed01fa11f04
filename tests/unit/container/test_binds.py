"""Binds as the user writes them, and those that every guest gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from udockpy import config
from udockpy.container import binds
from udockpy.container.caller import Caller
from udockpy.container.plan import Bind
from udockpy.errors import BindError

CONFIG = config.load("/nonexistent", {}, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a", [Bind("/a", "/a")]),
        ("/a:/b", [Bind("/a", "/b")]),
        ("/a:/b:ro", [Bind("/a", "/b", True)]),
        ("/a:/b:rw", [Bind("/a", "/b")]),
        ("/a/,/b:/c/../d//", [Bind("/a", "/a"), Bind("/b", "/d")]),
        (".:/work", [Bind("/cwd", "/work")]),
        ("../x:/y", [Bind("/x", "/y")]),
        ("//a", [Bind("/a", "/a")]),
    ],
)
def test_well_formed_binds(text: str, expected: list[Bind]) -> None:
    found = [
        bind._replace(source=bind.source.replace("//", "/"))
        for bind in binds.parse(text, cwd="/cwd")
    ]
    assert found == expected


@pytest.mark.parametrize(
    "text", ["", ":/b", "/a:", "/a:b", "/a:/b:rx", "/a:/b:ro:z", "/a:/", "/a,", "/a::ro"]
)
def test_malformed_binds_are_refused(text: str) -> None:
    with pytest.raises(BindError, match="malformed bind") as caught:
        binds.parse(text, cwd="/cwd")
    assert caught.value.exit_code == 125


def caller(home: Path, cwd: Path) -> Caller:
    return Caller(1000, 1000, (1000,), os.fspath(home), os.fspath(cwd), {})


def targets(found: list[Bind]) -> list[str]:
    return [bind.target for bind in found]


def test_a_user_sees_his_home_and_directory(tmp_path: Path) -> None:
    home, cwd = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    cwd.mkdir()
    config_ = CONFIG._replace(bind_tmp=False)
    found = targets(binds.standard(config_, caller(home, cwd), pretend_root=False))
    assert {os.fspath(home), os.fspath(cwd), "/proc", "/dev"} <= set(found)


def test_a_pretended_root_sees_neither(tmp_path: Path) -> None:
    found = targets(binds.standard(CONFIG, caller(tmp_path, tmp_path), pretend_root=True))
    assert os.fspath(tmp_path) not in found
    assert "/tmp" not in found
    assert "/proc" in found


def test_a_directory_inside_a_bound_one_is_not_bound_again(tmp_path: Path) -> None:
    inner = tmp_path / "project"
    inner.mkdir()
    found = targets(binds.standard(CONFIG, caller(tmp_path, inner), pretend_root=False))
    assert os.fspath(inner) not in found


@pytest.mark.parametrize("cwd", ["/", "/etc", "/usr", "/dev", "/proc/self", "/sys/kernel"])
def test_directories_of_the_system_are_never_bound_for_being_current(cwd: str) -> None:
    config_ = CONFIG._replace(system_binds=())
    found = targets(
        binds.standard(config_, caller(Path("/nonexistent"), Path(cwd)), pretend_root=False)
    )
    assert cwd not in found


def test_parents_come_before_what_lies_in_them(tmp_path: Path) -> None:
    config_ = CONFIG._replace(binds=(f"{tmp_path}:/a/b/c", f"{tmp_path}:/a"))
    found = targets(binds.standard(config_, caller(tmp_path, tmp_path), pretend_root=True))
    assert found.index("/a") < found.index("/a/b/c")
