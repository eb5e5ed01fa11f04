"""Bootstrap agents: how the root filesystem of a stage begins, by the header's `Bootstrap:`."""

from __future__ import annotations

import io
import os
import shutil
from typing import Callable, NamedTuple

from udockpy.build import rootfs
from udockpy.build.definition import grammar
from udockpy.build.workshop import Guest
from udockpy.errors import BuildError, reason_of
from udockpy.util import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.build.definition.grammar import Stage
    from udockpy.build.workshop import Workshop
    from udockpy.layer.member import Member
    from udockpy.oci.image import ImageConfig
    from udockpy.store.tree import Tree

# What a minimal Debian does without, as other builders of such images have it
EXCLUDED = "openssl,udev,debconf-i18n,e2fsprogs"
PLACE = "%{OSVERSION}"
MAX_BUSYBOX = 64 << 20
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
}


class Beginning(NamedTuple):
    """A root filesystem to begin."""

    stage: Stage
    tree: Tree
    workshop: Workshop
    name: str  # the definition's

    def need(self, key: str) -> str:
        """What the header must say."""
        value = self.stage.key(key)
        if not value:
            agent = self.stage.key("bootstrap")
            reason = f"Bootstrap: {agent} needs the header {key.capitalize()}:"
            raise self.bad("bootstrap", reason)
        return value

    def bad(self, key: str, reason: str, hint: str = "") -> BuildError:
        value = self.stage.header.get(key)
        return grammar.bad(self.name, value.line if value else self.stage.line, reason, hint)


def begin(beginning: Beginning) -> ImageConfig | None:
    """Fills the empty root filesystem; returns what an OCI image says of how it is run."""
    agent = beginning.stage.key("bootstrap").lower()
    if agent in REFUSED:
        raise beginning.bad("bootstrap", f'the agent "{agent}" {REFUSED[agent]}')
    if agent not in AGENTS:
        hint = f"the agents are {', '.join(sorted(AGENTS))}"
        raise beginning.bad("bootstrap", f'unknown agent "{agent}"', hint)
    return AGENTS[agent](beginning)


def _docker(beginning: Beginning) -> ImageConfig | None:
    parts = [beginning.stage.key("registry"), beginning.stage.key("namespace")]
    reference = "/".join(filter(None, (*parts, beginning.need("from"))))
    return beginning.workshop.fill(beginning.tree, f"docker://{reference.removeprefix('//')}")


def _in_file(transport: str) -> Callable[[Beginning], ImageConfig | None]:
    def fill(beginning: Beginning) -> ImageConfig | None:
        word = beginning.need("from").removeprefix("//")
        return beginning.workshop.fill(beginning.tree, f"{transport}:{word}")

    return fill


def _local_image(beginning: Beginning) -> ImageConfig | None:
    path = beginning.need("from")
    if not os.path.exists(path):
        raise beginning.bad("from", f"{path}: no such file or directory")
    return beginning.workshop.fill(beginning.tree, os.path.abspath(path))


def _scratch(beginning: Beginning) -> None:
    pass


def _debootstrap(beginning: Beginning) -> None:
    suite = beginning.need("osversion")
    mirror = beginning.stage.key("mirrorurl").replace(PLACE, suite)
    program = _program(beginning, "debootstrap")
    include = ",".join(["apt", *_included(beginning)])
    words = [program, "--variant=minbase", f"--exclude={EXCLUDED}", f"--include={include}"]
    words += [suite, beginning.tree.rootfs, mirror or beginning.workshop.apt_mirror(suite)]
    # Where debootstrap finds signs of docker it replaces the new system's /proc, which is bound.
    _run(beginning, words, {"container": "lxc"}, kernel=True)


def _dnf(beginning: Beginning) -> None:
    """dnf or yum of the host, with the header's repositories and no others."""
    mirror = beginning.need("mirrorurl")
    version = beginning.stage.key("osversion")
    program = _program(beginning, "dnf", "yum")
    folder = os.path.join(beginning.tree.rootfs, "etc/dnf-build")
    os.makedirs(folder)
    config = os.path.join(folder, "dnf.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(repositories(mirror, beginning.stage.key("updateurl"), version))
    words = [program, "-y", "--noplugins", "-c", config, f"--installroot={beginning.tree.rootfs}"]
    words += [f"--releasever={version}"] if version else []
    words += ["install", "/etc/redhat-release", "coreutils", *_included(beginning)]
    _run(beginning, words, {}, kernel=True)
    shutil.rmtree(folder)


def repositories(mirror: str, updates: str, version: str) -> str:
    """A configuration of dnf's with these repositories."""
    lines = ["[main]", "gpgcheck=0", "reposdir=/dev/null", "keepcache=0", "tsflags=nodocs"]
    for name, url in (("base", mirror), ("updates", updates)):
        if url:
            lines += ["", f"[{name}]", f"name={name}", f"baseurl={url.replace(PLACE, version)}"]
            lines += ["enabled=1", "gpgcheck=0"]
    return "\n".join(lines) + "\n"


def _busybox(beginning: Beginning) -> None:
    """A busybox program from somewhere, and its applets."""
    url = beginning.need("mirrorurl")
    now = beginning.workshop.now
    content = _download(beginning, url)
    members: list[Member] = [rootfs.directory(name, now) for name in ("bin", "etc", "root")]
    members.append(
        rootfs.file("bin/busybox", "", now, mode=0o755)._replace(
            size=len(content), content=lambda: io.BytesIO(content)
        )
    )
    members += [rootfs.file(name, text, now) for name, text in ACCOUNTS.items()]
    rootfs.put(beginning.tree, members)
    guest = Guest(("/bin/busybox", "--install", "-s", "/bin"))
    status = beginning.workshop.run(beginning.tree, guest)
    if status:
        raise beginning.bad("mirrorurl", f"busybox --install failed with status {status}")


def _download(beginning: Beginning, url: str) -> bytes:
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            content: bytes = answer.read(MAX_BUSYBOX + 1)
    except ValueError as e:
        raise beginning.bad("mirrorurl", str(e)) from None
    except OSError as e:
        raise beginning.bad("mirrorurl", reason_of(e)) from None
    if not content.startswith(b"\x7fELF") or len(content) > MAX_BUSYBOX:
        raise beginning.bad("mirrorurl", f"{url} is no busybox program")
    return content


def _included(beginning: Beginning) -> list[str]:
    return beginning.stage.key("include").replace(",", " ").split()


def _program(beginning: Beginning, *names: str) -> str:
    for name in names:
        path = process.which(name)
        if path:
            return path
    hint = f"install the package {names[0]}, or begin from an image: Bootstrap: docker"
    raise beginning.bad("bootstrap", f"the host has no {' or '.join(names)}", hint)


def _run(
    beginning: Beginning, words: list[str], environment: dict[str, str], *, kernel: bool = False
) -> None:
    """Runs a program of the host; those that mount /proc and /sys find them there with `kernel`."""
    shop = beginning.workshop
    status = shop.run_on_host(beginning.tree, words, environment, kernel=kernel)
    if status:
        program = os.path.basename(words[0])
        raise beginning.bad("bootstrap", f"{program} failed with status {status}")


AGENTS: dict[str, Callable[[Beginning], ImageConfig | None]] = {
    "busybox": _busybox,
    "debootstrap": _debootstrap,
    "dnf": _dnf,
    "docker": _docker,
    "docker-archive": _in_file("docker-archive"),
    "localimage": _local_image,
    "oci": _in_file("oci"),
    "oci-archive": _in_file("oci-archive"),
    "scratch": _scratch,
    "yum": _dnf,
}
_SERVICE = "needs a service that udockpy does not speak with: use docker, oci or localimage"
REFUSED = {
    "arch": "needs pacstrap, which is not supported",
    "buildkit": "is not supported: use udockpy build -f DOCKERFILE",
    "docker-daemon": "needs a daemon: use docker save, and docker-archive",
    "dockerfile": "is not supported: use udockpy build -f DOCKERFILE",
    "library": _SERVICE,
    "mmdebstrap": "is not supported: use debootstrap",
    "oras": _SERVICE,
    "shub": _SERVICE,
    "zypper": "needs zypper, which is not supported",
}
