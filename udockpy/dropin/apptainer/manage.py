"""build, pull, cache, registry and sif: images, and what has to do with them."""

from __future__ import annotations

import os
import sys

from udockpy import home as homes
from udockpy.build.definition.stage import Choices
from udockpy.dropin.apptainer import images, messages
from udockpy.dropin.apptainer.options import commas, with_variables
from udockpy.dropin.flags import LIST, SWITCH, VALUE, Flag, parse, several
from udockpy.errors import BusyError, Error, UsageError
from udockpy.operations import build as building
from udockpy.operations import sif as single_files
from udockpy.operations import unpacked
from udockpy.operations.definitions import Definition
from udockpy.sif import tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.dropin.flags import Given

# What is so anyway, or says how something is made that is made otherwise here
NEEDLESS = several(
    "--disable-cache --fix-perms --no-cleanup --isolated --userns --allow-unsigned -U"
    " --reproducible --ignore-subuid --ignore-fakeroot-command --ignore-proot --keep-layers"
    " --no-setgroups"
)
BUILD = (
    Flag(("--sandbox", "-s")),
    Flag(("--force", "-F")),
    Flag(("--fakeroot", "-f")),
    Flag(("--writable",)),
    Flag(("--notest", "-T")),
    Flag(("--section",), LIST),
    Flag(("--build-arg",), LIST),
    Flag(("--build-arg-file",), LIST),
    Flag(("--warn-unused-build-args",)),
    Flag(("--bind", "-B"), LIST, ("BIND", "BINDPATH")),
    Flag(("--no-https", "--nohttps"), SWITCH, ("NO_HTTPS", "NOHTTPS")),
    Flag(("--tmpdir",), VALUE),
    *NEEDLESS,
)
PULL = (
    Flag(("--force", "-F")),
    Flag(("--name",), VALUE),
    Flag(("--dir",), VALUE, ("PULLDIR", "PULLFOLDER")),
    Flag(("--sandbox", "-s")),
    Flag(("--no-https", "--nohttps"), SWITCH, ("NO_HTTPS", "NOHTTPS")),
    Flag(("--tmpdir",), VALUE),
    *NEEDLESS,
)
CACHE = (
    Flag(("--force", "-f")),
    Flag(("--dry-run", "-n")),
    Flag(("--days", "-D"), VALUE),
    Flag(("--type", "-T"), LIST),
)
REGISTRY = (
    Flag(("--username", "-u"), VALUE),
    Flag(("--password", "-p"), VALUE),
    Flag(("--password-stdin",)),
    Flag(("--insecure",)),
)


def build(words: list[str], environ: Mapping[str, str]) -> int:
    """build TARGET SOURCE."""
    given = _given(words, BUILD, environ)
    if len(given.words) != 2:
        raise UsageError(f"accepts 2 arg(s), received {len(given.words)}")
    target, source = given.words
    if os.path.lexists(target) and not given.on("--force"):
        raise BusyError(
            f"While checking build target: build target '{target}' already exists."
            " Use --force if you want to overwrite it"
        )
    wanted = building.Build(
        target,
        source,
        sandbox=given.on("--sandbox") or given.on("--writable"),
        force=True,
        definition=_definition(given),
    )
    _make(wanted, environ, insecure=given.on("--no-https"))
    messages.info(f"Build complete: {target}")
    return 0


def _definition(given: Given) -> Definition:
    """What is for a definition file."""
    sections = tuple(commas(given.all("--section"))) or ("all",)
    return Definition(
        Choices(sections, not given.on("--notest"), given.all("--bind")),
        arguments=given.all("--build-arg"),
        argument_files=given.all("--build-arg-file"),
        unused_ok=given.on("--warn-unused-build-args"),
    )


def pull(words: list[str], environ: Mapping[str, str]) -> int:
    """pull [FILE] REFERENCE."""
    given = _given(words, PULL, environ)
    if not 1 <= len(given.words) <= 2:
        raise UsageError(f"accepts between 1 and 2 arg(s), received {len(given.words)}")
    *out, reference = given.words
    if not images.is_reference(reference):
        reference = f"library://{reference}"
    name = out[0] if out else given.value("--name") or default_name(reference)
    target = os.path.join(given.value("--dir"), name)
    if os.path.lexists(target) and not given.on("--force"):
        raise BusyError(f'Image file already exists: "{target}" - will not overwrite')
    wanted = building.Build(target, reference, sandbox=given.on("--sandbox"), force=True)
    _make(wanted, environ, insecure=given.on("--no-https"))
    return 0


def default_name(reference: str) -> str:
    """The file that a pulled image gets: LAST-PART_TAG.sif."""
    path = images.spelled(reference).partition(":")[2].rstrip("/")
    last = path.rpartition("/")[2].partition("@")[0]
    name, _, tag = last.partition(":")
    return f"{name}_{tag or 'latest'}.sif"


def cache(words: list[str], environ: Mapping[str, str]) -> int:
    """cache list, cache clean: image files that were unpacked."""
    verb, *rest = words or [""]
    if verb == "clean":
        given = parse(rest, CACHE, mixed=True)
        if given.value("--days") or given.all("--type"):
            raise Error("cache clean is not supported by udockpy with --days or --type")
        for path in unpacked.clean(homes.find(environ), dry_run=given.on("--dry-run")):
            messages.info(f"Removing {path}")
        return 0
    if verb == "list":
        found = unpacked.listing(homes.find(environ))
        size = f"{sum(entry.size for entry in found) / 1024:.2f} KiB"
        print(f"There are {len(found)} container file(s) using {size} of space")
        print(f"Total space used: {size}")
        return 0
    raise UsageError("cache has the commands list and clean")


def push(words: list[str], environ: Mapping[str, str]) -> int:
    """push, which we cannot do with image files."""
    raise Error("push is not supported by udockpy for image files; udockpy push pushes images")


def overlay(words: list[str], environ: Mapping[str, str]) -> int:
    """overlay create, which makes what we cannot use."""
    raise Error("overlay is not supported by udockpy: keep changes in a sandbox, with --writable")


def registry(words: list[str], environ: Mapping[str, str]) -> int:
    """registry login, logout and list."""
    from udockpy.operations import login
    from udockpy.registry.http import Access

    given = parse(words, REGISTRY, mixed=True)
    verb, *hosts = given.words or ("",)
    if verb not in ("login", "logout") or len(hosts) != 1:
        raise UsageError("registry has the commands login HOST and logout HOST")
    host = hosts[0].partition("://")[2] or hosts[0]
    if verb == "logout":
        login.logout(host, environ)
        return 0
    password = given.value("--password")
    if given.on("--password-stdin"):
        password = sys.stdin.readline().rstrip("\r\n")
    if not given.value("--username") or not password:
        raise UsageError("registry login needs --username and --password or --password-stdin")
    access = Access(given.on("--insecure"), "")
    place = login.login(host, given.value("--username"), password, access, environ)
    messages.info(f"Token stored in {place}" if place else f"{host} takes anybody")
    return 0


def sif(words: list[str], environ: Mapping[str, str]) -> int:
    """sif list, header and dump."""
    given = parse(words, (), mixed=True)
    verb, *rest = given.words or ("",)
    if (verb, len(rest)) == ("list", 1):
        print("\n".join(tables.objects(single_files.read(rest[0]))))
    elif (verb, len(rest)) == ("header", 1):
        print("\n".join(tables.header(single_files.read(rest[0]))))
    elif (verb, len(rest)) == ("dump", 2) and rest[0].isdigit():
        single_files.dump(rest[1], int(rest[0]))
    else:
        raise UsageError("sif has the commands list FILE, header FILE and dump ID FILE")
    return 0


def _given(words: list[str], table: tuple[Flag, ...], environ: Mapping[str, str]) -> Given:
    return with_variables(parse(words, table, mixed=True), table, environ)


def _make(wanted: building.Build, environ: Mapping[str, str], *, insecure: bool) -> None:
    source = wanted.source
    if images.is_reference(source):
        home = homes.find(environ)
        source = images.pulled(home, source, environ, insecure=insecure, fresh=True).name
    elif not os.path.exists(source):
        raise Error(f"unable to open file {source}: no such file or directory")
    building.build(wanted._replace(source=source), environ)
