"""Instructions that change how an image is run, and no file: on the configuration's document. Pure.

Values have their variables put in already. ValueError for what is malformed.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any, Callable

from udockpy.build.dockerfile import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.build.dockerfile.grammar import Instruction

Settings = dict[str, Any]  # the "config" of an image's configuration

DEFAULT_SHELL = ["/bin/sh", "-c"]
UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9}
UNITS["h"] = 60 * UNITS["m"]
DURATION = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")
PORT = re.compile(r"([0-9]+)(?:-([0-9]+))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


def command_words(settings: Settings, instruction: Instruction) -> list[str]:
    """What RUN, CMD and ENTRYPOINT start."""
    exec_form = instruction.exec_form()
    if exec_form is not None:
        return exec_form
    return [*(settings.get("Shell") or DEFAULT_SHELL), instruction.text]


def assignments(text: str, expand: Callable[[str], str], escape: str) -> dict[str, str]:
    """`NAME=VALUE...`, or the old `NAME VALUE`."""
    first, _, rest = text.partition(" ")
    if "=" not in first:
        if not rest.strip():
            raise ValueError(f"{first} has no value: write NAME=VALUE")
        return {expand(first): expand(rest.strip())}
    found = {}
    for word in words.split(text, escape):
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ValueError(f"{word} is not NAME=VALUE")
        found[expand(name)] = expand(value)
    return found


def set_env(settings: Settings, added: dict[str, str]) -> None:
    known = environment(settings)
    settings["Env"] = [f"{name}={value}" for name, value in {**known, **added}.items()]


def environment(settings: Settings) -> dict[str, str]:
    return dict(word.partition("=")[::2] for word in settings.get("Env") or [])


def set_labels(settings: Settings, added: dict[str, str]) -> None:
    settings["Labels"] = {**(settings.get("Labels") or {}), **added}


def set_command(settings: Settings, instruction: Instruction) -> None:
    settings["Cmd"] = command_words(settings, instruction)


def set_shell(settings: Settings, instruction: Instruction) -> None:
    found = instruction.exec_form()
    if not found:
        raise ValueError('write SHELL ["PROGRAM", "ARGUMENT"...]')
    settings["Shell"] = found


def set_health_check(settings: Settings, instruction: Instruction) -> None:
    keyword, _, rest = instruction.text.partition(" ")
    if keyword.upper() == "NONE":
        settings["Healthcheck"] = {"Test": ["NONE"]}
        return
    if keyword.upper() != "CMD" or not rest.strip():
        raise ValueError("write HEALTHCHECK CMD COMMAND, or HEALTHCHECK NONE")
    command = instruction._replace(text=rest.strip())
    words_ = command.exec_form()
    made: Settings = {"Test": ["CMD", *words_] if words_ else ["CMD-SHELL", command.text]}
    for flag, key in HEALTH_FLAGS.items():
        if text := instruction.flag(flag):
            made[key] = count(text) if key == "Retries" else duration(text)
    settings["Healthcheck"] = made


HEALTH_FLAGS = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
    "retries": "Retries",
}


def count(text: str) -> int:
    if not text.isdigit():
        raise ValueError(f"{text} is no number")
    return int(text)


def duration(text: str) -> int:
    """Nanoseconds, of Go's way to write durations: 1m30s."""
    found = DURATION.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise ValueError(f"{text} is no duration such as 1m30s")
    return int(sum(float(number) * UNITS[unit] for number, unit in found))


def add_ports(settings: Settings, ports: list[str]) -> None:
    added: Settings = {name: {} for port in ports for name in _ports(port)}
    settings["ExposedPorts"] = {**(settings.get("ExposedPorts") or {}), **added}


def _ports(text: str) -> list[str]:
    found = PORT.fullmatch(text)
    first = int(found[1]) if found else 0
    last = int(found[2] or first) if found else 0
    if not found or not 0 < first <= last < 65536:
        raise ValueError(f"{text} is no port")
    protocol = (found[3] or "tcp").lower()
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def add_volumes(settings: Settings, paths: list[str]) -> None:
    settings["Volumes"] = {**(settings.get("Volumes") or {}), **{path: {} for path in paths}}


def workdir(settings: Settings, path: str) -> str:
    """The directory that WORKDIR means."""
    joined = posixpath.join("/", settings.get("WorkingDir") or "", path)
    return posixpath.normpath(joined).replace("//", "/")
