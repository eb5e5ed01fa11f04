"""run: udocker's options, as ours."""

from __future__ import annotations

from udockpy import home as homes
from udockpy.container.options import RunOptions
from udockpy.dropin.flags import LIST, VALUE, Flag, judge, parse, several
from udockpy.dropin.udocker import messages, modes
from udockpy.errors import UsageError
from udockpy.operations import create as creating
from udockpy.operations import run as running
from udockpy.store import containers, images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.dropin.flags import Given
    from udockpy.home import Home

HONOURED = (
    Flag(("--rm",)),
    Flag(("--name",), VALUE),
    Flag(("--pull",), VALUE),
    Flag(("--workdir", "-w"), VALUE),
    Flag(("--user", "-u"), VALUE),
    Flag(("--volume", "-v"), LIST),
    Flag(("--novol",), LIST),
    Flag(("--env", "-e"), LIST),
    Flag(("--env-file",), LIST),
    Flag(("--hostenv",)),
    Flag(("--entrypoint",), VALUE),
    Flag(("--nosysdirs",)),
    Flag(("--bindhome",)),
    Flag(("--location",), VALUE),
    *several("--hostname", VALUE),
)
# What is so anyway, and what is for a terminal that a guest has, if we have one
NEEDLESS = (
    *several("--nobanner --nometa --containerauth --hostauth --dri -i -t -a"),
    *several("--interactive --tty --attach"),
    Flag(("--kernel",), VALUE),
)
PORTS = "the guest has the host's network and ports"
WITHOUT_EFFECT = (
    Flag(("--publish", "-p"), LIST, means=PORTS),
    Flag(("--publish-all", "-P"), means=PORTS),
    Flag(("--netcoop",), means=PORTS),
    *several("--cpuset-cpus", VALUE, "the batch system sets limits, udockpy does not"),
    *several("--volumes-from --dns --dns-search", LIST, "udocker itself ignores it"),
    Flag(("--device",), LIST, means="the guest has the host's devices"),
)
REFUSED = (
    *several("--platform", VALUE, "pull the image of that platform first"),
    *several("--httpproxy --registry --index", VALUE, "write the registry into the image's name"),
)
TABLE = (*HONOURED, *NEEDLESS, *WITHOUT_EFFECT, *REFUSED)
# A guest that pretends needs its /proc in every engine.
SYSTEM = ("/dev", "/proc", "/sys", "/etc/resolv.conf", "/etc/host.conf", "/lib/modules")


def run(words: list[str], environ: Mapping[str, str]) -> int:
    """run CONTAINER|IMAGE [COMMAND...]."""
    given = parse(words, TABLE, mixed=False)
    judge(given, refused=REFUSED, without_effect=WITHOUT_EFFECT, warn=messages.warn)
    where = given.value("--location")
    if not where and not given.words:
        raise UsageError("must specify container_id or image")
    word, command = (where, given.words) if where else (given.words[0], given.words[1:])
    home = homes.find(environ)
    name = given.value("--name")
    if name and given.value("--pull") == "reuse":
        word = _reused(home, name, word, environ)
        name = ""
    container = None if where else containers.find(home, word)
    mode = modes.of(container, environ)
    options = RunOptions(
        target=word if where or container else image_name(home, word),
        command=command,
        engine=modes.ENGINES[mode] if mode else None,
        bind=_volumes(given, environ),
        env=(*(environ if given.on("--hostenv") else ()), *given.all("--env")),
        env_file=given.all("--env-file"),
        workdir=given.value("--workdir") or None,
        entrypoint=given.values.get("--entrypoint"),
        user=given.value("--user") or None,
        root=not given.value("--user"),
        hostname=given.value("--hostname") or None,
        name=name or None,
        rm=given.on("--rm") and not where and container is None,
    )
    status = running.run(options, _settings(given, environ))
    assert isinstance(status, int)  # nothing is only shown
    return status


def image_name(home: Home, word: str) -> str:
    """An image of the store, else one of a registry: udocker pulls bare words, too."""
    return word if images.find(home, word) is not None else f"docker://{word}"


def _reused(home: Home, name: str, word: str, environ: Mapping[str, str]) -> str:
    """The container of that name, which is made when it is not there yet."""
    if containers.find(home, name) is None:
        creating.create(image_name(home, word), name, environ)
    return name


def _volumes(given: Given, environ: Mapping[str, str]) -> tuple[str, ...]:
    named = given.all("--volume")
    if not given.on("--bindhome"):
        return named
    return (homes.user_home(environ), *named)


def _settings(given: Given, environ: Mapping[str, str]) -> dict[str, str]:
    """udockpy's settings for the run: a guest sees what udocker shows, and not its user's files."""
    off = {*SYSTEM, *given.all("--novol")} if given.on("--nosysdirs") else {*given.all("--novol")}
    shown = (path for path in SYSTEM if path not in off or path == "/proc")
    return {
        **environ,
        "UDOCKPY_SYSTEM_BINDS": ",".join(shown),
        "UDOCKPY_BIND_HOME": "no",
        "UDOCKPY_BIND_CWD": "no",
        "UDOCKPY_BIND_TMP": "no",
    }
