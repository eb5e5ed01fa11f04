"""The options of exec, run, shell, test and instance start: Apptainer's flags and variables, and
what of them the caller asked for.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from udockpy.dropin.apptainer import messages
from udockpy.dropin.flags import LIST, SWITCH, VALUE, Flag, Given, judge, parse, several, switch
from udockpy.errors import Error, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

INSTANCE = "instance://"  # before the name of one, in the place of an image
PREFIXES = ("APPTAINER_", "SINGULARITY_")  # of variables; the first that is set wins

HONOURED = (
    Flag(("--bind", "-B"), LIST, ("BIND", "BINDPATH")),
    Flag(("--mount",), LIST, ("MOUNT",)),
    Flag(("--home", "-H"), VALUE, ("HOME",)),
    Flag(("--no-home",), SWITCH, ("NO_HOME",)),
    Flag(("--no-mount",), LIST, ("NO_MOUNT",)),
    Flag(("--contain", "-c"), SWITCH, ("CONTAIN",)),
    Flag(("--containall", "-C"), SWITCH, ("CONTAINALL",)),
    Flag(("--compat",), SWITCH, ("COMPAT",)),
    Flag(("--cleanenv", "-e"), SWITCH, ("CLEANENV",)),
    Flag(("--env",), LIST),
    Flag(("--env-file",), LIST, ("ENV_FILE",)),
    Flag(("--pwd",), VALUE, ("PWD", "TARGET_PWD")),
    Flag(("--cwd",), VALUE, ("CWD", "TARGET_CWD")),
    Flag(("--writable", "-w"), SWITCH, ("WRITABLE",)),
    Flag(("--writable-tmpfs",), SWITCH, ("WRITABLE_TMPFS",)),
    Flag(("--scratch", "-S"), LIST, ("SCRATCH", "SCRATCHDIR")),
    Flag(("--workdir", "-W"), VALUE, ("WORKDIR",)),
    Flag(("--pid", "-p"), SWITCH, ("PID", "UNSHARE_PID")),
    Flag(("--no-pid",), SWITCH, ("NO_PID",)),
    Flag(("--ipc", "-i"), SWITCH, ("IPC", "UNSHARE_IPC")),
    Flag(("--userns", "-u"), SWITCH, ("USERNS", "UNSHARE_USERNS")),
    Flag(("--uts",), SWITCH, ("UTS", "UNSHARE_UTS")),
    Flag(("--hostname",), VALUE, ("HOSTNAME",)),
    Flag(("--net", "-n"), SWITCH, ("NET", "UNSHARE_NET")),
    Flag(("--network",), VALUE, ("NETWORK",)),
    Flag(("--fakeroot", "-f"), SWITCH, ("FAKEROOT",)),
    Flag(("--app",), VALUE, ("APP", "APPNAME")),
    Flag(("--shell", "-s"), VALUE, ("SHELL",)),
    Flag(("--no-umask",), SWITCH, ("NO_UMASK",)),
    Flag(("--no-https", "--nohttps"), SWITCH, ("NO_HTTPS", "NOHTTPS")),
    Flag(("--overlay", "-o"), LIST, ("OVERLAY", "OVERLAYIMAGE")),
)
# What is so anyway
NEEDLESS = several(
    "--no-init --no-eval --no-privs --unsquash --underlay --disable-cache --no-oci --no-compat"
    " --no-setgroups --tmp-sandbox --no-tmp-sandbox --ignore-subuid --ignore-fakeroot-command"
)
LIMITS = "udockpy sets no limits on resources; the batch system does"
RIGHTS = "guests have the rights of their user, and no others"
DEVICES = "guests have the host's devices, or with --contain few"
ENCRYPTED = "encrypted images cannot be read"
LOGIN = "use udockpy login"
WITHOUT_EFFECT = (
    *several(
        "--nv --rocm --nvccli --intel-hpu --compat32",
        means="bind the driver's libraries by hand",
    ),
    *several(
        "--cpus --cpu-shares --cpuset-cpus --cpuset-mems --memory --memory-reservation"
        " --memory-swap --pids-limit --blkio-weight --blkio-weight-device",
        VALUE,
        LIMITS,
    ),
    *several("--oom-kill-disable", means=LIMITS),
    *several("--add-caps --drop-caps", VALUE, RIGHTS),
    *several("--keep-privs --allow-setuid", means=RIGHTS),
    *several("--dns", VALUE, "the guest sees the host's /etc/resolv.conf"),
    *several("--sharens", means="every guest has a view of its own"),
)
REFUSED = (
    *several("--apply-cgroups --security --netns-path", VALUE, "that needs privileges"),
    *several("--network-args", VALUE, "there is the host's network, and none"),
    *several("--fusemount", LIST, "bind a directory in which it is mounted"),
    *several("--device --cdi-dirs", LIST, DEVICES),
    *several("--passphrase", means=ENCRYPTED),
    *several("--pem-path", VALUE, ENCRYPTED),
    *several("--docker-login", means=LOGIN),
    *several("--authfile --docker-username --docker-password", VALUE, LOGIN),
    *several("--docker-host", VALUE, "there is no docker daemon to ask"),
    *several("--oci", means="there is only Apptainer's native way of running"),
    *several("--dmtcp-launch --dmtcp-restart", VALUE, "there are no checkpoints"),
)
TABLE = (*HONOURED, *NEEDLESS, *WITHOUT_EFFECT, *REFUSED)
ASSIGNMENT = re.compile(r"[^=]+=.*", re.DOTALL)


class Action(NamedTuple):
    """What the caller asked for."""

    verb: str
    image: str
    command: tuple[str, ...]
    binds: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    home: str = ""
    no_home: bool = False
    no_mount: tuple[str, ...] = ()
    contain: bool = False
    cleanenv: bool = False
    env: tuple[str, ...] = ()  # NAME=VALUE
    env_files: tuple[str, ...] = ()
    cwd: str = ""
    writable: bool = False
    writable_tmpfs: bool = False
    scratch: tuple[str, ...] = ()
    workdir: str = ""
    namespaces: tuple[str, ...] = ()
    userns: bool = False
    hostname: str = ""
    fakeroot: bool = False
    app: str = ""
    shell: str = ""
    no_umask: bool = False
    no_https: bool = False
    instance: str = ""  # the one that it is about


def action(verb: str, words: Sequence[str], environ: Mapping[str, str]) -> Action:
    """Reads a command line that starts a guest."""
    given = with_variables(parse(words, TABLE, mixed=False), TABLE, environ)
    _judge(given)
    least = 2 if verb == "exec" else 1
    if len(given.words) < least:
        raise UsageError(f"requires at least {least} arg(s), only received {len(given.words)}")
    compat = given.on("--compat")
    everything = given.on("--containall") or compat
    image, *command = given.words
    return Action(
        verb=verb,
        image=image,
        command=tuple(command),
        binds=given.all("--bind"),
        mounts=given.all("--mount"),
        home=given.value("--home"),
        no_home=given.on("--no-home"),
        no_mount=tuple(commas(given.all("--no-mount"))),
        contain=given.on("--contain") or everything,
        cleanenv=given.on("--cleanenv") or everything,
        env=tuple(_assignments(given.all("--env"))),
        env_files=tuple(commas(given.all("--env-file"))),
        cwd=given.value("--cwd") or given.value("--pwd"),
        writable=given.on("--writable"),
        writable_tmpfs=given.on("--writable-tmpfs") or compat,
        scratch=tuple(commas(given.all("--scratch"))),
        workdir=given.value("--workdir"),
        namespaces=_namespaces(given, everything=everything),
        userns=given.on("--userns"),
        hostname=given.value("--hostname"),
        fakeroot=given.on("--fakeroot"),
        app=given.value("--app"),
        shell=given.value("--shell"),
        no_umask=given.on("--no-umask") or compat,
        no_https=given.on("--no-https"),
    )


def with_variables(given: Given, table: Sequence[Flag], environ: Mapping[str, str]) -> Given:
    """Adds what the environment says. Lists are joined; else the command line wins."""
    switches, values, lists = dict(given.switches), dict(given.values), dict(given.lists)
    for flag in table:
        name = flag.names[0]
        for text in _variables(flag, environ):
            if flag.kind == LIST:
                lists[name] = (*lists.get(name, ()), text)
            elif flag.kind == VALUE:
                values.setdefault(name, text)
            else:
                try:
                    switches.setdefault(name, switch(text))
                except ValueError:
                    raise UsageError(f'invalid argument "{text}" for "{name}" flag') from None
    return Given(switches, values, lists, given.words)


def _variables(flag: Flag, environ: Mapping[str, str]) -> Iterator[str]:
    for key in flag.environment:
        for prefix in PREFIXES:
            if environ.get(prefix + key):
                yield environ[prefix + key]
                break


def _judge(given: Given) -> None:
    judge(given, refused=REFUSED, without_effect=WITHOUT_EFFECT, warn=messages.warn)
    if given.all("--overlay"):
        reason = "keep changes in a sandbox, with --writable"
        raise Error(f"--overlay is not supported by udockpy: {reason}")


def commas(texts: Sequence[str]) -> Iterator[str]:
    """The items of lists with commas."""
    for text in texts:
        yield from filter(None, text.split(","))


def _assignments(texts: Sequence[str]) -> Iterator[str]:
    """NAME=VALUE,... where a text with one = alone is one assignment, commas and all."""
    for text in texts:
        for item in [text] if text.count("=") == 1 else text.split(","):
            if not ASSIGNMENT.fullmatch(item):
                raise UsageError(
                    f'invalid argument "{text}" for "--env" flag: {item} must be formatted as'
                    " key=value"
                )
            yield item


def _namespaces(given: Given, *, everything: bool) -> tuple[str, ...]:
    network = given.value("--network")
    if (given.on("--net") or network) and network != "none":
        kind = network or "bridge"
        raise Error(
            f"--net with the network {kind} is not supported by udockpy: there is --network none"
        )
    asked = {
        "pid": (given.on("--pid") or everything) and not given.on("--no-pid"),
        "ipc": given.on("--ipc") or everything,
        "uts": given.on("--uts") or bool(given.value("--hostname")),
        "net": network == "none",
    }
    return tuple(name for name, wanted in asked.items() if wanted)
