"""Configuration: one row per setting, from which the file, the environment and the documentation
derive.

Later wins: default, then the file (INI, section [udockpy]), then the environment (UDOCKPY_NAME),
then the command line.
"""

from __future__ import annotations

import os
from typing import Any, Callable, NamedTuple

from udockpy.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SECTION = "udockpy"


class Config(NamedTuple):
    """All settings of one command."""

    engine: str
    map_subuids: bool
    image_user: bool
    bind_home: bool
    bind_cwd: bool
    bind_tmp: bool
    system_binds: tuple[str, ...]
    binds: tuple[str, ...]
    path: str
    max_unpacked: int
    insecure_registries: tuple[str, ...]


class Setting(NamedTuple):
    """One row of the table: how a setting is spelled and what it means."""

    name: str
    default: str
    parse: Callable[[str], Any]
    help: str


def _switch(text: str) -> bool:
    try:
        return {
            "yes": True,
            "true": True,
            "on": True,
            "1": True,
            "no": False,
            "false": False,
            "off": False,
            "0": False,
        }[text.lower()]
    except KeyError:
        raise ValueError("not yes or no") from None


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.replace("\n", ",").split(",") if item.strip())


def _size(text: str) -> int:
    """Bytes, with K, M, G or T for 1024 of the next smaller."""
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    if not number.isdigit() or unit not in ("", "K", "M", "G", "T"):
        raise ValueError("not a size such as 200G")
    return int(number) << 10 * (" KMGT".index(unit) if unit else 0)


GUEST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

SETTINGS = (
    Setting(
        "engine",
        "auto",
        str,  # engines/select.py knows their names
        "the engine that runs guests; auto takes the best that works here",
    ),
    Setting(
        "map_subuids",
        "no",
        _switch,
        "userns: map the subordinate ids of /etc/subuid instead of pretending",
    ),
    Setting(
        "image_user",
        "no",
        _switch,
        "be the user that an image names (pretended), who cannot write to files of yours",
    ),
    Setting("bind_home", "yes", _switch, "show the home directory to guests of an ordinary user"),
    Setting("bind_cwd", "yes", _switch, "show the current directory to guests of an ordinary user"),
    Setting("bind_tmp", "yes", _switch, "show /tmp to guests of an ordinary user"),
    Setting(
        "system_binds",
        "/proc, /sys, /dev, /etc/resolv.conf, /etc/hosts",
        _list,
        "host files and directories that every guest sees",
    ),
    Setting("binds", "", _list, "further binds, SRC[:DST[:ro|rw]], for every run"),
    Setting("path", GUEST_PATH, str, "PATH inside guests"),
    Setting("max_unpacked", "200G", _size, "the most that one image may unpack to"),
    Setting(
        "insecure_registries",
        "",
        _list,
        "registries, HOST[:PORT], that are used without TLS or with any certificate",
    ),
)


def variable(setting: Setting) -> str:
    """The environment variable of a setting."""
    return f"UDOCKPY_{setting.name.upper()}"


def load(file: str, environ: Mapping[str, str], overrides: Mapping[str, str | None]) -> Config:
    """Gathers the settings; `overrides` are the command line's, None where it says nothing."""
    written = _read(file)
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text, origin = setting.default, "default"
        if setting.name in written:
            text, origin = written[setting.name], file
        if variable(setting) in environ:
            text, origin = environ[variable(setting)], variable(setting)
        override = overrides.get(setting.name)
        if override is not None:
            text, origin = override, f"--{setting.name.replace('_', '-')}"
        try:
            values[setting.name] = setting.parse(text)
        except ValueError as e:
            raise UsageError("bad setting", f"{setting.name} = {text} ({origin})", str(e)) from None
    return Config(**values)


def _read(file: str) -> dict[str, str]:
    # Most users have no file, and configparser takes longer to import than the rest of a run.
    if not os.path.exists(file):
        return {}
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
    except (OSError, configparser.Error, UnicodeDecodeError) as e:
        raise UsageError("cannot read the configuration", file, str(e).replace("\n", " ")) from e
    written = dict(parser[SECTION]) if SECTION in parser else {}
    unknown = set(written) - {setting.name for setting in SETTINGS}
    if unknown:
        known = ", ".join(setting.name for setting in SETTINGS)
        raise UsageError(
            "bad setting", f"{min(unknown)} ({file})", "unknown", hint=f"the settings are {known}"
        )
    return written
