"""Makes the world of the engine tests: guests, cached packages, and what a real kernel does.

Run as root: ``tests/world/prepare [DIR] [--user NAME] [--only STEP...]``. Every step leaves a stamp
that names its inputs, so a second run costs nothing, and an edited guest program one compilation.
DIR then holds

=================  ===========================================================================
``trees/NAME``     root file systems owned by real root: the oracle runs in them, nothing else
``guests/NAME``    the same trees owned by the ordinary user, without devices: for engines
``debs/``          Debian packages for bookworm, so that installing them downloads nothing
``transcripts/``   what tests/guests/torture prints under a real root's chroot, as root and as
                   the user
``rootlike/``      the scripts of tests/rootlike, and what they print under a real root's chroot
``buildah/NAME``   what buildah makes of the contexts in contexts.py
``logs/``          what the steps printed
=================  ===========================================================================
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import contexts

DEFAULT_WORLD = "/var/tmp/udockpy-world"
TESTS = Path(__file__).resolve().parent.parent
SOURCES = TESTS / "guests"
SCRIPTS = TESTS / "rootlike"
WORKERS = 2

# name, suite, architecture, packages beside the minimal ones
DEBIAN_TREES = [
    ("bookworm", "bookworm", "amd64", ""),
    ("bullseye", "bullseye", "amd64", ""),
    ("trixie", "trixie", "amd64", ""),
    ("sid", "sid", "amd64", ""),
    ("i386", "bookworm", "i386", ""),
    ("tools", "bookworm", "amd64", "acl,cpio,git,libcap2-bin,rsync,sudo"),
]
# Which build of the torture program a tree can run. bullseye's C library is older than the build
# machine's.
TORTURE = {
    "bookworm": "torture",
    "trixie": "torture",
    "sid": "torture",
    "bullseye": "torture-static",
    "musl": "torture-musl",
    "static": "torture-static",
}
PACKAGES = [
    "openssh-server",
    "man-db",
    "git",
    "python3",
    "gcc",
    "dbus",
    "default-jre-headless",
    "nodejs",
    "perl",
    "make",
    "libc6-dev",
]
BUSYBOX_APPLETS = [
    "ash",
    "cat",
    "chmod",
    "chown",
    "cp",
    "cut",
    "date",
    "dd",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "grep",
    "head",
    "hostname",
    "id",
    "kill",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mv",
    "printenv",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sleep",
    "sort",
    "stat",
    "stty",
    "tail",
    "tar",
    "tee",
    "test",
    "touch",
    "tr",
    "true",
    "tty",
    "uname",
    "unlink",
    "wc",
    "which",
    "whoami",
    "xargs",
    "yes",
]
GUEST_DIR = "opt/udockpy"  # where a tree keeps the test programs


@dataclass(frozen=True)
class World:
    """The directory being made, and for whom."""

    root: Path
    user: pwd.struct_passwd
    mirror: str

    def path(self, *parts: str) -> Path:
        return self.root.joinpath(*parts)

    def log(self, name: str) -> Path:
        return self.path("logs", f"{name}.log")


@dataclass(frozen=True)
class Step:
    """One thing to make: `inputs` is what it depends on, `make` does it."""

    name: str
    inputs: str
    make: Callable[[World], None]


# -- running things ------------------------------------------------------------


def run(world: World, name: str, argv: Sequence[object], cwd: Path | None = None) -> None:
    """Runs a command with its output in logs/NAME.log; the tail of the log goes into the error."""
    words = [str(word) for word in argv]
    with world.log(name).open("ab") as log:
        log.write(f"$ {' '.join(words)}\n".encode())
        log.flush()
        done = subprocess.run(words, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    if done.returncode:
        tail = world.log(name).read_text(errors="replace").splitlines()[-15:]
        raise SystemExit(
            f"prepare: {name}: {words[0]}: status {done.returncode}\n" + "\n".join(tail)
        )


def apt_mirror() -> str:
    """The package mirror apt itself is configured with; none is written down here."""
    code = "bookworm"
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            code = line.partition("=")[2].strip('"')
    words = [
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI)",
        f"Codename: {code}",
        "Created-By: Packages",
    ]
    listed = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    if not listed:
        raise SystemExit(f"prepare: apt: no package source for {code}\nhint: run apt-get update")
    return sorted(listed)[0]


def replace_tree(partial: Path, final: Path) -> None:
    """Puts a finished directory into its place; half-made ones never carry the final name."""
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)


def digest(paths: Sequence[Path]) -> str:
    """A fingerprint of source files."""
    sum_ = hashlib.sha256()
    for path in sorted(paths):
        sum_.update(path.name.encode() + b"\0" + path.read_bytes())
    return sum_.hexdigest()


# -- the trees ------------------------------------------------------------


def debian_tree(name: str, suite: str, arch: str, packages: str) -> Step:
    """A minimal Debian, and some packages (comma-separated), by debootstrap."""
    include = [f"--include={packages}"] if packages else []

    def make(world: World) -> None:
        partial = world.path("trees", f".{name}")
        shutil.rmtree(partial, ignore_errors=True)
        run(
            world,
            f"tree-{name}",
            [
                *("debootstrap", "--variant=minbase", f"--arch={arch}", *include),
                *(suite, partial, world.mirror),
            ],
        )
        for deb in partial.glob("var/cache/apt/archives/*.deb"):
            deb.unlink()
        policy = partial / "usr/sbin/policy-rc.d"  # package scripts start no daemon
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        replace_tree(partial, world.path("trees", name))

    return Step(f"tree-{name}", f"{suite} {arch} {packages or 1}", make)


def small_tree(partial: Path) -> None:
    """The skeleton of the guests that are not Debian."""
    shutil.rmtree(partial, ignore_errors=True)
    for name in ("bin", "lib", "etc", "root", "proc", "sys", "dev", "usr/bin", "home", "run"):
        (partial / name).mkdir(parents=True)
    for name in ("tmp", "var/tmp"):
        (partial / name).mkdir(parents=True)
        (partial / name).chmod(0o1777)
    (partial / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\n"
        "daemon:x:1:1::/:/bin/false\n"
        "nobody:x:65534:65534::/:/bin/false\n"
    )
    (partial / "etc/group").write_text("root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n")


def build_busybox(world: World) -> None:
    """Debian's busybox source, linked dynamically against musl: a guest whose C library is not
    glibc."""
    build = world.path("build", "busybox")
    shutil.rmtree(build, ignore_errors=True)
    apt = build / "apt"
    for name in ("etc/apt", "state", "cache"):
        (apt / name).mkdir(parents=True)
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (apt / "etc/apt/sources.list").write_text(
        f"deb-src [signed-by={keyring}] {world.mirror} bookworm main\n"
    )
    options = [
        f"-oDir::Etc={apt}/etc/apt",
        f"-oDir::State={apt}/state",
        f"-oDir::Cache={apt}/cache",
    ]
    options += ["-oDir::State::status=/dev/null", "-oAPT::Sandbox::User=root", "-q"]
    run(world, "busybox", ["apt-get", *options, "update"])
    run(world, "busybox", ["apt-get", *options, "--download-only", "source", "busybox"], cwd=build)
    (archive,) = build.glob("busybox_*.orig.tar.*")
    run(world, "busybox", ["tar", "xf", archive], cwd=build)
    (source,) = (path for path in build.glob("busybox-*") if path.is_dir())
    run(world, "busybox", ["make", "-s", "defconfig"], cwd=source)
    config = (source / ".config").read_text()
    config = re.sub(r"^CONFIG_TC=y$", "# CONFIG_TC is not set", config, flags=re.M)
    (source / ".config").write_text(config)
    compiler = f"musl-gcc -idirafter {kernel_headers(world)}"
    run(
        world, "busybox", ["make", "-s", f"-j{WORKERS}", f"CC={compiler}", "HOSTCC=gcc"], cwd=source
    )
    shutil.copy2(source / "busybox", build / "busybox")
    shutil.rmtree(source)


def kernel_headers(world: World) -> Path:
    """A directory with nothing but the kernel's headers: musl-gcc looks at no others of the
    host's."""
    headers = world.path("build", "kernel-headers")
    headers.mkdir(parents=True, exist_ok=True)
    multiarch = Path("/usr/include") / f"{os.uname().machine}-linux-gnu"
    for name, target in {
        "linux": Path("/usr/include/linux"),
        "mtd": Path("/usr/include/mtd"),
        "asm-generic": Path("/usr/include/asm-generic"),
        "asm": multiarch / "asm",
    }.items():
        link = headers / name
        if not link.is_symlink():
            link.symlink_to(target)
    return headers


def musl_tree(world: World) -> None:
    partial = world.path("trees", ".musl")
    small_tree(partial)
    shutil.copy2(world.path("build", "busybox", "busybox"), partial / "bin/busybox")
    shutil.copy2(Path("/lib/ld-musl-x86_64.so.1").resolve(), partial / "lib/ld-musl-x86_64.so.1")
    for applet in BUSYBOX_APPLETS:
        (partial / "bin" / applet).symlink_to("busybox")
    (partial / "etc/os-release").write_text('ID=udockpy-musl\nPRETTY_NAME="musl guest"\n')
    replace_tree(partial, world.path("trees", "musl"))


def static_tree(world: World) -> None:
    partial = world.path("trees", ".static")
    small_tree(partial)
    shutil.copy2("/bin/busybox", partial / "bin/busybox")
    for applet in BUSYBOX_APPLETS:
        (partial / "bin" / applet).symlink_to("busybox")
    (partial / "etc/os-release").write_text('ID=udockpy-static\nPRETTY_NAME="static guest"\n')
    replace_tree(partial, world.path("trees", "static"))


# -- the programs ------------------------------------------------------------

CFLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Wno-unused-result", "-pthread"]


def build_programs(world: World) -> None:
    """Compiles tests/guests and puts the programs into every tree."""
    out = world.path("build", "programs")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    torture = sorted((SOURCES / "torture").glob("*.c"))
    musl = ["musl-gcc", "-idirafter", str(kernel_headers(world))]
    variants = [("", ["gcc"], []), ("-static", ["gcc"], ["-static"]), ("-musl", musl, [])]
    for suffix, compiler, link in variants:
        run(
            world, "programs", [*compiler, *CFLAGS, *link, "-o", out / f"torture{suffix}", *torture]
        )
    for source in sorted(SOURCES.glob("*.c")):
        for suffix, compiler, link in variants:
            run(
                world,
                "programs",
                [*compiler, *CFLAGS, *link, "-o", out / f"{source.stem}{suffix}", source],
            )
    cache = world.path("build", "go")
    environment = [f"GOCACHE={cache}/cache", f"GOPATH={cache}", "CGO_ENABLED=0", "GO111MODULE=off"]
    for source in sorted(SOURCES.glob("*.go")):
        build = ["go", "build", "-o", out / source.stem, source]
        run(world, "programs", ["env", *environment, f"HOME={cache}", *build])
    for tree in sorted(world.path("trees").iterdir()):
        install_programs(world, tree)


def install_programs(world: World, tree: Path) -> None:
    """Puts the test programs and a directory anybody may write to into one tree."""
    target = tree / GUEST_DIR
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for program in sorted(world.path("build", "programs").iterdir()):
        shutil.copy2(program, target / program.name)
    for source in sorted([*SOURCES.glob("*.py"), *SOURCES.glob("*.sh")]):
        shutil.copy2(source, target / source.name)
    for name in ("work", "readonly"):  # the second is to be a read-only way to the first
        (target / name).mkdir()
        (target / name).chmod(0o1777)


def user_copy(name: str) -> Callable[[World], None]:
    """The tree as its ordinary user would have it after unpacking an archive: his own, and without
    devices."""

    def make(world: World) -> None:
        source, partial = world.path("trees", name), world.path("guests", f".{name}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        script = (
            'set -e; tar -C "$1" --one-file-system --exclude=./dev/* -cf - . | tar -C "$2" -xpf -'
        )
        run(
            world,
            f"guest-{name}",
            ["bash", "-o", "pipefail", "-c", script, "copy", source, partial],
        )
        run(
            world,
            f"guest-{name}",
            ["chown", "-hR", f"{world.user.pw_uid}:{world.user.pw_gid}", partial],
        )
        # An owner can always read and remove what is his.
        run(world, f"guest-{name}", ["chmod", "-R", "u+rwX,ug-s", partial])
        replace_tree(partial, world.path("guests", name))

    return make


# -- the package cache ------------------------------------------------------------


def package_cache(world: World) -> None:
    """Downloads what test_packages installs, with everything it depends on, and installs
    nothing."""
    tree, debs = world.path("trees", "bookworm"), world.path("debs")
    apt = world.path("build", "apt")
    shutil.rmtree(apt, ignore_errors=True)
    for name in ("state/lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    options = [
        f"-oDir::Etc={tree}/etc/apt",
        f"-oDir::State={apt}/state",
        f"-oDir::Cache={apt}/cache",
        "-q",
    ]
    options += [f"-oDir::State::status={tree}/var/lib/dpkg/status", "-oAPT::Sandbox::User=root"]
    options += [f"-oDir::Etc::trustedparts={tree}/etc/apt/trusted.gpg.d"]
    run(world, "debs", ["apt-get", *options, "update"])
    run(world, "debs", ["apt-get", *options, "-y", "--download-only", "install", *PACKAGES])
    debs.mkdir(exist_ok=True)
    for deb in sorted((apt / "cache/archives").glob("*.deb")):
        deb.replace(debs / deb.name)
        (debs / deb.name).chmod(0o644)
    shutil.rmtree(apt)


# -- the oracle ------------------------------------------------------------

# A private mount namespace gives the tree the host's /proc, /sys and /dev for as long as the
# program runs.
ORACLE = """
set -e
tree=$1; shift
for name in proc sys dev; do mount --rbind /$name "$tree/$name"; done
mount --bind "$tree/opt/udockpy/work" "$tree/opt/udockpy/readonly"
mount -o remount,bind,ro "$tree/opt/udockpy/readonly"
exec chroot "$@"
"""


def oracle_argv(tree: Path, command: Sequence[str], user: pwd.struct_passwd | None) -> list[str]:
    """The words that run `command` under a real root's chroot, as root or as `user`."""
    words = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        ORACLE,
        "oracle",
        str(tree),
    ]
    # Always said: else root's groups would be those of whoever called.
    uid, gid = (user.pw_uid, user.pw_gid) if user is not None else (0, 0)
    words += [f"--userspec={uid}:{gid}", f"--groups={gid}"]
    return [*words, str(tree), "env", "-i", "PATH=/usr/bin:/bin", "LC_ALL=C", *command]


def transcripts(world: World) -> None:
    """Records what the torture program prints where nothing interposes; every check must be ok
    there."""
    directory = world.path("transcripts")
    directory.mkdir(exist_ok=True)
    failed = []
    for name, program in TORTURE.items():
        for who, user in (("root", None), ("user", world.user)):
            command = [f"/{GUEST_DIR}/{program}", f"/{GUEST_DIR}/work", who]
            argv = oracle_argv(world.path("trees", name), command, user)
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
            )
            (directory / f"{name}-{who}.txt").write_bytes(done.stdout)
            lines = done.stdout.decode(errors="replace").splitlines()
            failed += [f"{name}-{who}: {line}" for line in lines if not line.startswith("ok ")]
            if done.returncode not in (0, 1):
                failed.append(f"{name}-{who}: status {done.returncode}")
    if failed:
        raise SystemExit("prepare: the oracle itself fails:\n" + "\n".join(failed))


def rootlike(world: World) -> None:
    """Writes the scripts of tests/rootlike, and records what comes of them where nothing
    interposes."""
    directory = world.path("rootlike")
    shutil.rmtree(directory, ignore_errors=True)
    run(world, "rootlike", [sys.executable, "-m", "rootlike", directory], cwd=TESTS)
    command = [f"/{GUEST_DIR}/rootlike-musl", f"/{GUEST_DIR}/work/rootlike"]
    argv = oracle_argv(world.path("trees", "musl"), command, None)
    for script in sorted(directory.glob("*.script")):
        with script.open() as lines, script.with_suffix(".txt").open("wb") as transcript:
            done = subprocess.run(argv, stdin=lines, stdout=transcript, cwd="/")
        if done.returncode:
            raise SystemExit(f"prepare: rootlike: {script}: status {done.returncode}")
    command = ["sh", f"/{GUEST_DIR}/rootlike-tools.sh", f"/{GUEST_DIR}/work/tools"]
    argv = oracle_argv(world.path("trees", "tools"), command, None)
    with (directory / "tools.txt").open("wb") as transcript:
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=transcript, cwd="/", check=True)


# -- Dockerfiles ------------------------------------------------------------


def buildah_images(world: World) -> None:
    """What buildah, as root, makes of the contexts in contexts.py: images in skopeo's dir:."""
    made = world.path("buildah")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    with tempfile.TemporaryDirectory(prefix="buildah-") as scratch:
        folder = Path(scratch)
        places = ["--root", folder / "store", "--runroot", folder / "run"]
        tool = ["buildah", *places, "--storage-driver", "vfs"]
        # Of its two formats docker's has everything that a Dockerfile can say.
        build = ["bud", "--isolation", "chroot", "--format", "docker", "--pull=never"]
        for name, context in {"base": {}, **contexts.CONTEXTS}.items():
            source = folder / "contexts" / name
            source.mkdir(parents=True)
            if context:
                contexts.write(context, source)
            else:
                contexts.write_base(source)
            given = [
                word for pair in contexts.ARGUMENTS.get(name, ()) for word in ("--build-arg", pair)
            ]
            run(world, "buildah", [*tool, *build, *given, "-t", name, source])
            run(world, "buildah", [*tool, "push", f"localhost/{name}", f"dir:{made / name}"])
    for path in made.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


# -- the whole ------------------------------------------------------------


def plan() -> list[list[Step]]:
    """The steps in phases; the steps of one phase are independent of each other."""
    programs = digest(
        [p for p in SOURCES.rglob("*") if p.suffix in (".c", ".h", ".go", ".py", ".sh")]
    )
    me = digest([Path(__file__)])
    names = [name for name, *_ in DEBIAN_TREES] + ["musl", "static"]
    return [
        [*(debian_tree(*row) for row in DEBIAN_TREES), Step("busybox", "1", build_busybox)],
        [Step("tree-musl", me, musl_tree), Step("tree-static", me, static_tree)],
        [
            Step("programs", programs + me, build_programs),
            Step("debs", " ".join(PACKAGES), package_cache),
            Step("buildah", digest([SOURCES.parent / "world/contexts.py"]), buildah_images),
        ],
        [Step(f"guest-{name}", programs + me, user_copy(name)) for name in names],
        [
            Step("transcripts", programs + me, transcripts),
            Step("rootlike", programs + me + digest([*SCRIPTS.glob("*.py")]), rootlike),
        ],
    ]


def perform(world: World, step: Step) -> str | None:
    """Makes one step unless its stamp says it is made; returns a line for the summary."""
    stamp = world.path("stamps", step.name)
    if stamp.exists() and stamp.read_text() == step.inputs:
        return None
    began = time.monotonic()
    world.log(step.name).unlink(missing_ok=True)
    step.make(world)
    stamp.write_text(step.inputs)
    line = f"{step.name}: {time.monotonic() - began:.0f} s"
    print(line, flush=True)
    return line


def the_user(name: str | None) -> pwd.struct_passwd:
    """The ordinary user the guests are made for."""
    wanted = name or os.environ.get("UDOCKPY_TEST_USER") or os.environ.get("SUDO_USER") or "peer"
    try:
        user = pwd.getpwnam(wanted)
    except KeyError:
        raise SystemExit(
            f"prepare: {wanted}: no such user\nhint: useradd -m {wanted}, or --user NAME"
        ) from None
    if user.pw_uid == 0:
        raise SystemExit(f"prepare: {wanted}: is root\nhint: --user NAME of an ordinary user")
    return user


def needed_tools() -> None:
    missing = {
        "debootstrap": "debootstrap",
        "musl-gcc": "musl-tools",
        "go": "golang-go",
        "gcc": "gcc",
        "make": "make",
        "busybox": "busybox-static",
        "buildah": "buildah",
    }
    packages = [package for tool, package in missing.items() if shutil.which(tool) is None]
    if packages:
        raise SystemExit(
            f"prepare: missing programs\nhint: apt-get install -y {' '.join(packages)}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "directory", nargs="?", default=os.environ.get("UDOCKPY_WORLD", DEFAULT_WORLD)
    )
    parser.add_argument(
        "--user", help="who the guests belong to (UDOCKPY_TEST_USER, SUDO_USER, peer)"
    )
    parser.add_argument("--only", nargs="+", metavar="STEP", help="only these steps, by name")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("prepare: must be run as root: debootstrap and the oracle need it")
    needed_tools()
    began = time.monotonic()
    world = World(Path(arguments.directory).absolute(), the_user(arguments.user), apt_mirror())
    for name in ("trees", "guests", "build", "logs", "stamps"):
        world.path(name).mkdir(parents=True, exist_ok=True)
    os.umask(0o022)
    made: list[str | None] = []
    for phase in plan():
        steps = [step for step in phase if not arguments.only or step.name in arguments.only]
        with ThreadPoolExecutor(WORKERS) as pool:
            made += list(pool.map(lambda step: perform(world, step), steps))
    trees = sorted(
        path.name for path in world.path("guests").iterdir() if not path.name.startswith(".")
    )
    summary = {
        "user": world.user.pw_name,
        "uid": world.user.pw_uid,
        "guests": trees,
        "torture": TORTURE,
        "debs": len(list(world.path("debs").glob("*.deb"))),
    }
    world.path("world.json").write_text(json.dumps(summary, indent=2) + "\n")
    size = subprocess.run(
        ["du", "-sm", str(world.root)], stdout=subprocess.PIPE, text=True
    ).stdout.split()[0]
    count = sum(line is not None for line in made)
    print(f"{world.root}: {count} steps made, {len(made) - count} cached, {size} MiB", end=", ")
    print(f"{time.monotonic() - began:.0f} s; guests for {world.user.pw_name}: {' '.join(trees)}")


if __name__ == "__main__":
    main()
