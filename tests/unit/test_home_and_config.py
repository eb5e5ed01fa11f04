"""Where state lives, and what settings there are."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from udockpy import config, home
from udockpy.errors import StateError, UsageError


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"UDOCKPY_HOME": "/s", "HOME": "/h"}, "/s"),
        ({"XDG_DATA_HOME": "/d", "HOME": "/h"}, "/d/udockpy"),
        ({"XDG_DATA_HOME": "relative", "HOME": "/h"}, "/h/.local/share/udockpy"),
        ({"HOME": "/h"}, "/h/.local/share/udockpy"),
        ({}, f"{pwd.getpwuid(os.getuid()).pw_dir}/.local/share/udockpy"),
    ],
    ids=["own", "xdg", "relative xdg", "home", "password file"],
)
def test_the_state_directory(environ: dict[str, str], expected: str) -> None:
    assert home.find(environ).path == expected


def test_no_home_anywhere_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)
    with pytest.raises(StateError, match="HOME is not set") as caught:
        home.find({})
    assert "UDOCKPY_HOME" in caught.value.hint


def test_a_file_in_the_way_of_the_state_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="Not a directory"):
        home.make(os.fspath(tmp_path / "file/images"))


def test_later_settings_win(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("[udockpy]\nengine = trap\nbind_home = no\npath = /bin:%s\n")
    environ = {"UDOCKPY_BIND_HOME": "yes", "UDOCKPY_BINDS": "/a:/b, /c"}
    loaded = config.load(os.fspath(file), environ, {"engine": "userns"})
    assert loaded.engine == "userns"
    assert loaded.bind_home
    assert loaded.binds == ("/a:/b", "/c")
    assert loaded.path == "/bin:%s"


def test_defaults_need_no_file(tmp_path: Path) -> None:
    loaded = config.load(os.fspath(tmp_path / "none"), {}, {})
    assert loaded.engine == "auto"
    assert "/proc" in loaded.system_binds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[udockpy]\nbind_home = perhaps\n", "not yes or no"),
        ("[udockpy]\nengin = trap\n", "engin.*unknown"),
        ("engine = trap\n", "no section headers"),
    ],
)
def test_a_bad_file_is_an_error_that_names_it(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        config.load(os.fspath(file), {}, {})
    assert os.fspath(file) in str(caught.value)


def test_every_setting_is_a_field_and_has_a_default_that_parses() -> None:
    assert [setting.name for setting in config.SETTINGS] == list(config.Config._fields)
    for setting in config.SETTINGS:
        setting.parse(setting.default)
