"""udocker's commands for images and containers, over our store."""

from __future__ import annotations

import json
import os
import sys

from udockpy import home as homes
from udockpy.dropin.flags import VALUE, Flag, parse, several
from udockpy.dropin.udocker import messages, modes
from udockpy.dropin.udocker.run import image_name
from udockpy.errors import Error, TargetError, UsageError
from udockpy.oci import reference as references
from udockpy.operations import containers as operations
from udockpy.operations import images as image_operations
from udockpy.store import containers, images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from udockpy.dropin.flags import Given
    from udockpy.operations.pull import PullOptions
    from udockpy.store.containers import Container

INSECURE = "UDOCKER_INSECURE"  # what --insecure says before the command
PULL = (
    *several("--platform --registry --index", VALUE),
    *several("--httpproxy", VALUE, "set HTTPS_PROXY"),
)
SHORT = ("docker.io/library/", "docker.io/")


def pull(words: list[str], environ: Mapping[str, str]) -> int:
    """pull IMAGE."""
    from udockpy.operations.pull import pull as operation

    given = parse(words, PULL, mixed=True)
    name = _one(given)
    if given.value("--httpproxy") or given.value("--index"):
        raise Error("--httpproxy and --index are not supported by udockpy: set HTTPS_PROXY")
    host = given.value("--registry").partition("://")[2] or given.value("--registry")
    operation(f"docker://{f'{host}/' if host else ''}{name}", _options(given, environ), environ)
    return 0


def create(words: list[str], environ: Mapping[str, str]) -> int:
    """create IMAGE: prints the container's id."""
    from udockpy.operations.create import create as operation

    given = parse(words, (*several("--name", VALUE), *several("--force"), *PULL), mixed=True)
    source = image_name(homes.find(environ), _one(given))
    print(operation(source, given.value("--name") or None, environ).id)
    return 0


def clone(words: list[str], environ: Mapping[str, str]) -> int:
    """clone CONTAINER: prints the new one's id."""
    given = parse(words, several("--name", VALUE), mixed=True)
    print(operations.clone(_one(given), given.value("--name") or None, environ).id)
    return 0


def rename(words: list[str], environ: Mapping[str, str]) -> int:
    """rename NAME NEW."""
    name, new = _two(parse(words, (), mixed=True))
    operations.rename(name, new, environ)
    return 0


def protect(words: list[str], environ: Mapping[str, str]) -> int:
    """protect CONTAINER|IMAGE: rm and rmi refuse it."""
    return _protect(words, environ, on=True)


def unprotect(words: list[str], environ: Mapping[str, str]) -> int:
    """unprotect CONTAINER|IMAGE."""
    return _protect(words, environ, on=False)


def _protect(words: list[str], environ: Mapping[str, str], *, on: bool) -> int:
    from udockpy.operations.protect import protect as operation

    operation(_one(parse(words, (), mixed=True)), environ, on=on)
    return 0


def tag(words: list[str], environ: Mapping[str, str]) -> int:
    """tag IMAGE NEW."""
    from udockpy.operations.tag import tag as operation

    image, new = _two(parse(words, (), mixed=True))
    operation(image, new, environ)
    return 0


def verify(words: list[str], environ: Mapping[str, str]) -> int:
    """verify IMAGE: whether everything of it is there, and right."""
    from udockpy.operations.verify import Verify
    from udockpy.operations.verify import verify as operation

    word = _one(parse(words, (), mixed=True))
    image = images.find(homes.find(environ), word)
    found = [
        row for row in operation(Verify(mend=False), environ) if image and row.name == image.name
    ]
    if not found:
        raise TargetError("image not found, or imported, so that there is nothing to compare", word)
    if found[0].problem:
        raise Error("image verification failed", word, found[0].problem)
    print("Info: image Ok")
    return 0


def manifest(words: list[str], environ: Mapping[str, str]) -> int:
    """manifest inspect IMAGE: what the registry has."""
    from udockpy.operations.manifest import inspect as operation

    given = parse(words, several("--platform --registry --index --httpproxy", VALUE), mixed=True)
    verb, image = _two(given)
    if verb != "inspect" or given.values:
        raise Error("manifest is not supported by udockpy but as: manifest inspect IMAGE")
    print(json.dumps(operation(f"docker://{image}", _options(given, environ), environ), indent=4))
    return 0


def listed_images(words: list[str], environ: Mapping[str, str]) -> int:
    """images."""
    given = parse(words, several("-l -p --no-trunc --all"), mixed=True)
    print("REPOSITORY")
    for image in image_operations.listing(environ):
        print(f"{short(image.name):<60} {'P' if images.is_protected(image) else '.'}")
        if given.on("-l"):
            print(f"  {image.tree.rootfs}")
    return 0


def short(name: str) -> str:
    """An image's name as udocker writes it: without what is docker.io's."""
    for prefix in SHORT:
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def ps(words: list[str], environ: Mapping[str, str]) -> int:
    """ps: all containers, running or not."""
    given = parse(words, several("-m -s -p"), mixed=True)
    home = homes.find(environ)
    modal = given.on("-m")
    print(f"{'CONTAINER ID':<36} P M {'MODE ' if modal else ''}{'NAMES':<18} IMAGE")
    for entry in operations.listing(environ):
        names = str([entry.name] if entry.name else [])
        mode = f"{modes.of(containers.find(home, entry.id), environ) or 'auto':<5}" if modal else ""
        mark = "P" if entry.protected else "."
        print(f"{entry.id:<36} {mark} W {mode}{names:<18} {short(entry.image)}")
    return 0


def rm(words: list[str], environ: Mapping[str, str]) -> int:
    """rm CONTAINER..."""
    given = parse(words, (Flag(("--force", "-f")),), mixed=True)
    for name in _some(given):
        operations.remove(name, environ, force=given.on("--force"))
        messages.info(f"deleting container: {name}")
    return 0


def rmi(words: list[str], environ: Mapping[str, str]) -> int:
    """rmi IMAGE..."""
    given = parse(words, (Flag(("--force", "-f")),), mixed=True)
    for name in _some(given):
        image_operations.remove(name, environ, force=given.on("--force"))
    return 0


def inspect(words: list[str], environ: Mapping[str, str]) -> int:
    """inspect CONTAINER|IMAGE: its configuration, or with -p where its files are."""
    from udockpy.operations.inspect import inspect as operation

    given = parse(words, several("-p"), mixed=True)
    found = operation(_one(given), environ)
    if given.on("-p"):
        print(found["rootfs"])
    else:
        print(json.dumps(found.get("config", {}), indent=4, sort_keys=True))
    return 0


def import_(words: list[str], environ: Mapping[str, str]) -> int:
    """import TAR|- IMAGE, or --tocontainer TAR|-."""
    from udockpy.operations.import_ import import_ as operation

    table = (*several("--mv --tocontainer --clone"), *several("--name --platform", VALUE))
    given = parse(words, table, mixed=True)
    if given.on("--tocontainer") or given.on("--clone"):
        raise Error("import --tocontainer is not supported by udockpy: import, then create")
    source, name = _two(given)
    operation(source, name.replace("/", "-"), environ)
    if given.on("--mv") and source != "-":
        os.unlink(source)
    return 0


def export(words: list[str], environ: Mapping[str, str]) -> int:
    """export -o TAR CONTAINER."""
    from udockpy.operations.export import export as operation

    given = parse(words, (Flag(("-o", "--output"), VALUE), *several("--clone")), mixed=True)
    if given.on("--clone"):
        raise Error("export --clone is not supported by udockpy: use save, or export alone")
    operation(_container(_one(given), environ).id, given.value("-o", "-"), environ)
    return 0


def load(words: list[str], environ: Mapping[str, str]) -> int:
    """load -i TAR: prints the names of the images."""
    from udockpy.operations import archives

    given = parse(words, (Flag(("--input", "-i"), VALUE),), mixed=True)
    for name in archives.load(given.value("--input", "-"), _options(given, environ), environ):
        print(short(name))
    return 0


def save(words: list[str], environ: Mapping[str, str]) -> int:
    """save -o TAR IMAGE..."""
    from udockpy.operations import archives

    given = parse(words, (Flag(("--output", "-o"), VALUE),), mixed=True)
    archives.save(_some(given), given.value("--output", "-"), environ)
    return 0


def login(words: list[str], environ: Mapping[str, str]) -> int:
    """login --username NAME --password TEXT: the registry is asked, and must take them."""
    from udockpy.operations import login as login_operations
    from udockpy.registry.http import Access

    table = (*several("--username --password --registry", VALUE), *several("--password-stdin"))
    given = parse(words, table, mixed=True)
    password = given.value("--password")
    if given.on("--password-stdin"):
        password = sys.stdin.readline().rstrip("\r\n")
    if not given.value("--username") or not password:
        raise UsageError("login needs --username and --password or --password-stdin")
    access = Access(bool(environ.get(INSECURE)), "")
    host = given.value("--registry", references.DEFAULT_HOST)
    login_operations.login(host, given.value("--username"), password, access, environ)
    return 0


def logout(words: list[str], environ: Mapping[str, str]) -> int:
    """logout."""
    from udockpy.operations import login as login_operations

    given = parse(words, (*several("--registry", VALUE), *several("-a")), mixed=True)
    if given.on("-a"):
        raise Error("logout -a is not supported by udockpy: name the --registry")
    login_operations.logout(given.value("--registry", references.DEFAULT_HOST), environ)
    return 0


def setup(words: list[str], environ: Mapping[str, str]) -> int:
    """setup --execmode=MODE CONTAINER: which engine it shall have."""
    table = (*several("--execmode", VALUE), *several("--force --nvidia --purge --fixperm"))
    given = parse(words, table, mixed=True)
    for name in ("--nvidia", "--purge", "--fixperm"):
        if given.on(name):
            raise Error(f"setup {name} is not supported by udockpy")
    container = _container(_one(given), environ)
    mode = given.value("--execmode")
    if mode:
        modes.set_(container, mode)
        messages.info(f"execmode {mode} of {_one(given)} is udockpy's engine {modes.ENGINES[mode]}")
    else:
        print(f"execmode: {modes.of(container, environ) or 'auto'}\nnvidiamode: False")
    return 0


def install(words: list[str], environ: Mapping[str, str]) -> int:
    """install: there is nothing to fetch."""
    parse(words, several("--force --purge"), mixed=True)
    messages.info("the engines come with udockpy: nothing is downloaded")
    return 0


def showconf(words: list[str], environ: Mapping[str, str]) -> int:
    """showconf: udockpy's settings."""
    from udockpy import config

    found = config.load(homes.config_file(environ), environ, {})
    for name, value in found._asdict().items():
        print(f"{name} = {value}")
    return 0


def _options(given: Given, environ: Mapping[str, str]) -> PullOptions:
    from udockpy.operations.pull import PullOptions

    insecure = bool(environ.get(INSECURE))
    platform = given.value("--platform")
    return PullOptions(quiet=messages.QUIET.get(), platform=platform, insecure=insecure)


def _container(name: str, environ: Mapping[str, str]) -> Container:
    found = containers.find(homes.find(environ), name)
    if found is None:
        raise TargetError("invalid container id", name)
    return found


def _some(given: Given) -> Sequence[str]:
    if not given.words:
        raise UsageError("a name is missing")
    return given.words


def _one(given: Given) -> str:
    if len(given.words) != 1:
        raise UsageError(f"one name is needed, and there are {len(given.words)}")
    return given.words[0]


def _two(given: Given) -> tuple[str, str]:
    if len(given.words) != 2:
        raise UsageError(f"two names are needed, and there are {len(given.words)} words")
    return given.words[0], given.words[1]
