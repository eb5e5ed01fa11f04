"""The guest's environment.

An ordinary user keeps his own, as batch systems and MPI need, but for what would steer the guest's
dynamic linker or name the host's programs: LD_* and UDOCKPY_* go, PATH becomes the guest's. A
pretended root gets a clean one, so that what a package's scripts do does not depend on who installs
it. -e and --env-file come last.
"""

from __future__ import annotations

from udockpy.errors import UsageError, reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DROPPED = ("LD_", "UDOCKPY_")  # prefixes
KEPT_BY_ROOT = ("TERM", "COLORTERM", "LANG", "LANGUAGE", "TZ")
KEPT_BY_ROOT_SUFFIX = ("_proxy", "_PROXY")
HINT = "write NAME=VALUE, or NAME to pass on the host's value"


def of_user(host: Mapping[str, str], *, path: str, home: str) -> dict[str, str]:
    """The environment of the user himself."""
    kept = {name: value for name, value in host.items() if not name.startswith(DROPPED)}
    return {**kept, "PATH": path, "HOME": home}


def of_pretended(host: Mapping[str, str], *, path: str, home: str, name: str) -> dict[str, str]:
    """The environment of a pretended root, or of another user of the guest."""
    kept = {
        key: value
        for key, value in host.items()
        if key in KEPT_BY_ROOT or key.startswith("LC_") or key.endswith(KEPT_BY_ROOT_SUFFIX)
    }
    return {**kept, "PATH": path, "HOME": home, "USER": name, "LOGNAME": name}


def assignments(words: Iterable[str], host: Mapping[str, str]) -> dict[str, str]:
    """Reads NAME=VALUE and NAME (the host's value, if it has one)."""
    result = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or any(char.isspace() for char in name) or "\0" in word:
            raise UsageError(
                "malformed environment variable", word or "(empty)", "not NAME=VALUE", hint=HINT
            )
        if equals:
            result[name] = value
        elif name in host:
            result[name] = host[name]
    return result


def read_file(path: str) -> list[str]:
    """The assignments in an environment file: one a line, without quoting; empty lines and # are
    comments.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.strip() for line in file]
    except OSError as e:
        hint = "give a readable file of lines NAME=VALUE"
        raise UsageError("cannot read the environment file", path, reason_of(e), hint=hint) from e
    return [line for line in lines if line and not line.startswith("#")]
