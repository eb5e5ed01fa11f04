"""The guest's environment, as Apptainer has it. What was told for the guest (--env, --env-file,
APPTAINERENV_NAME) beats what the image says, and that beats the host's variables.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from udockpy.config import GUEST_PATH
from udockpy.dropin.apptainer import messages
from udockpy.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.dropin.apptainer.options import Action

GUEST_PREFIXES = ("SINGULARITYENV_", "APPTAINERENV_")  # the last wins
OURS = ("APPTAINER", "SINGULARITY", "UDOCKPY_", "LD_")  # prefixes of what no guest is shown
CLEAN = {"TERM", "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PROMPT = "Apptainer> "
BEFORE, BEHIND = "PREPEND_PATH", "APPEND_PATH"
NOT_OF_FILE = ("PWD", "OLDPWD", "SHLVL", "_")  # what the shell that reads a file adds


class Environment(NamedTuple):
    """Variables by their rank."""

    base: dict[str, str]  # what the image's scripts find
    host: dict[str, str]  # what the image may overrule
    told: dict[str, str]  # what it may not
    before_path: str = ""  # with its colon
    behind_path: str = ""

    def merged(self, image: Mapping[str, str]) -> dict[str, str]:
        """All of it, for an image without scripts that says this."""
        made = {**self.base, **self.host, **image}
        search = made["PATH"].split(":")
        usual = (folder for folder in GUEST_PATH.split(":") if folder not in search)
        made = {**made, "PATH": ":".join((*search, *usual)), **self.told}
        made["PATH"] = f"{self.before_path}{made['PATH']}{self.behind_path}"
        return made


def environment(action: Action, host: Mapping[str, str], *, name: str, home: str) -> Environment:
    """Ranks what is to be in the guest of the image `name` (a path or a reference)."""
    told = _told(action, host)
    before, behind = told.pop(BEFORE, ""), told.pop(BEHIND, "")
    return Environment(
        base=_base(action, host, name, home),
        host=_of_host(host, clean=action.cleanenv),
        told={**told, "HOME": home},
        before_path=f"{before}:" if before else "",
        behind_path=f":{behind}" if behind else "",
    )


def _base(action: Action, host: Mapping[str, str], name: str, home: str) -> dict[str, str]:
    script = "/.singularity.d/env/91-environment.sh"
    made = {
        "PATH": GUEST_PATH,
        "HOME": home,
        "PS1": PROMPT,
        "PROMPT_COMMAND": f'PS1="{PROMPT}"; unset PROMPT_COMMAND',
        "APPTAINER_COMMAND": action.verb,
        "APPTAINER_APPNAME": action.app,
    }
    if action.instance:
        made.update(APPTAINER_INSTANCE=action.instance, SINGULARITY_INSTANCE=action.instance)
    for prefix in ("APPTAINER", "SINGULARITY"):
        made[f"{prefix}_CONTAINER"] = name
        made[f"{prefix}_NAME"] = os.path.basename(name)
        made[f"{prefix}_BIND"] = ",".join(action.binds)
        made[f"{prefix}_ENVIRONMENT"] = script
    if action.app:
        made["SINGULARITY_APPNAME"] = action.app
    if not action.cleanenv:
        made["USER_PATH"] = host.get("PATH", "")
    return made


def _of_host(host: Mapping[str, str], *, clean: bool) -> dict[str, str]:
    kept = {
        name: value
        for name, value in host.items()
        if NAME.fullmatch(name)
        and not name.startswith(OURS)
        and name not in ("PATH", "HOME", "PS1", "PROMPT_COMMAND")
    }
    if clean:
        kept = {name: text for name, text in kept.items() if CLEAN & {name, name.lower()}}
        kept["LANG"] = "C"
    return {**kept, "LD_LIBRARY_PATH": "/.singularity.d/libs"}


def _told(action: Action, host: Mapping[str, str]) -> dict[str, str]:
    made: dict[str, str] = {}
    for prefix in GUEST_PREFIXES:
        for name, value in host.items():
            if name.startswith(prefix) and NAME.fullmatch(name[len(prefix) :]):
                _tell(made, prefix, name[len(prefix) :], value)
    for path in action.env_files:
        made.update(_of_file(path))
    made.update((name, value) for name, _, value in (item.partition("=") for item in action.env))
    if made.pop("HOME", None) is not None:
        messages.warn(
            "Overriding HOME environment variable with APPTAINERENV_HOME is not permitted"
        )
    return made


def _tell(made: dict[str, str], prefix: str, name: str, value: str) -> None:
    if made.get(name, value) != value:
        other = GUEST_PREFIXES[0] if prefix == GUEST_PREFIXES[1] else GUEST_PREFIXES[1]
        messages.warn(f"{other}{name} and {prefix}{name} have different values, using the latter")
    made[name] = value


def _of_file(path: str) -> dict[str, str]:
    """The assignments of a file, which is one of a shell."""
    from udockpy.util.process import capture

    if not os.path.isfile(path):
        raise UsageError(f"while opening environment file {path}: no such file or directory")
    script = 'set -a; . "$1"; exec env -0'
    words = ["/bin/sh", "-c", script, "sh", os.path.abspath(path)]
    status, output = capture(words, environ={"PATH": GUEST_PATH})
    if status:
        raise UsageError(f"while processing environment file {path}: it is no shell script")
    rows = [os.fsdecode(row).partition("=") for row in output.split(b"\0") if row]
    found = {name: value for name, _, value in rows if name not in NOT_OF_FILE}
    if found.get("PATH") == GUEST_PATH:
        del found["PATH"]
    return found
