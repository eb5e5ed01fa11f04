#!/usr/bin/env python3
"""Makes what tests/kernels boots: real Debian kernels, and one system that all of them start.

Run as root, after prepare: ``tests/world/kernels.py [DIR] [--user NAME]``. DIR/kernels then holds

====================  ========================================================================
``system.ext4``       Debian's user land with NFS, the guests and the trees of DIR, and the
                      modules of every kernel; a boot never writes to it
``NAME/vmlinuz``      a kernel, NAME is 5.10 and the like
``NAME/initrd``       busybox and the few modules that find the disk
====================  ========================================================================
"""

from __future__ import annotations

import argparse
import lzma
import os
import shutil
import subprocess
from pathlib import Path

from prepare import (
    DEFAULT_WORLD,
    Step,
    World,
    apt_mirror,
    digest,
    perform,
    replace_tree,
    run,
    the_user,
)

KERNELS = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie"}
META = "linux-image-cloud-amd64"
SUITE = "bookworm"
SYSTEM = [
    *("kmod", "python3", "python3-click", "python3-pyelftools", "python3-urllib3"),
    *("nfs-kernel-server", "nfs-common", "rpcbind", "iproute2", "procps", "e2fsprogs"),
    *("uidmap", "netbase", "busybox-static"),
]
UNNEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt")
GUESTS = ("musl", "bookworm")
TREES = ("musl",)
# What stands between the kernel and its disk; names that a kernel has built in are not found.
DRIVERS = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
INITRD_INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in {modules}; do /bin/busybox insmod /modules/$module; done
/bin/busybox mount -t ext4 /dev/vda /system
exec /bin/busybox switch_root /system /sbin/test-init
"""
# The product is on the second disk, a tar file; what was found goes to the third.
SYSTEM_INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 none /dev/shm
mount -t tmpfs none /run
mount -t tmpfs -o mode=1777 none /tmp
ip link set lo up
mkdir /run/product
tar -xf /dev/vdb -C /run/product
python3 /run/product/session.py
sync
echo o >/proc/sysrq-trigger
sleep 60
"""


def system_tree(world: World) -> None:
    """The user land, by debootstrap."""
    partial = world.path("kernels", ".tree")
    shutil.rmtree(partial, ignore_errors=True)
    words = ["debootstrap", "--variant=minbase", f"--include={','.join(SYSTEM)}"]
    run(world, "kernels-system", [*words, SUITE, partial, world.mirror])
    for name in UNNEEDED:
        shutil.rmtree(partial / name, ignore_errors=True)
    replace_tree(partial, world.path("kernels", "tree"))


def kernel(name: str, suite: str) -> Step:
    """A kernel out of its Debian package."""

    def make(world: World) -> None:
        place = world.path("kernels", name)
        shutil.rmtree(place, ignore_errors=True)
        (place / "unpacked").mkdir(parents=True)
        deb = download(world, suite, place)
        run(world, f"kernel-{name}", ["dpkg-deb", "-x", deb, place / "unpacked"])
        (image,) = (place / "unpacked/boot").glob("vmlinuz-*")
        release = image.name.partition("-")[2]
        shutil.copyfile(image, place / "vmlinuz")
        (place / "vmlinuz").chmod(0o644)
        modules = world.path("kernels", "tree", "usr/lib/modules", release)
        shutil.rmtree(modules, ignore_errors=True)
        (found,) = place.glob("unpacked/**/lib/modules/*/kernel")
        shutil.copytree(found.parent, modules, symlinks=True)
        tree = world.path("kernels", "tree")
        run(world, f"kernel-{name}", ["chroot", tree, "depmod", release])
        initrd(world, name, modules)
        shutil.rmtree(place / "unpacked")
        deb.unlink()

    return Step(f"kernel-{name}", f"{suite} {DRIVERS} {INITRD_INIT}", make)


def download(world: World, suite: str, place: Path) -> Path:
    """The package that a suite's newest kernel is in. apt keeps its state in `place`."""
    for name in ("etc", "state/lists/partial", "cache/archives/partial"):
        (place / "apt" / name).mkdir(parents=True)
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (place / "apt/etc/sources.list").write_text(
        f"deb [signed-by={keyring}] {world.mirror} {suite} main\n"
    )
    options = [
        *(f"-oDir::Etc={place}/apt/etc", f"-oDir::State={place}/apt/state"),
        *(f"-oDir::Cache={place}/apt/cache", "-oDir::State::status=/dev/null"),
        "-oAPT::Sandbox::User=root",
    ]
    run(world, f"kernel-{suite}", ["apt-get", *options, "-q", "update"])
    words = ["apt-cache", *options, "depends", META]
    listed = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    (package,) = {
        word for word in listed.split() if word.startswith("linux-image-") and word != META
    }
    run(world, f"kernel-{suite}", ["apt-get", *options, "-q", "download", package], cwd=place)
    shutil.rmtree(place / "apt")
    (deb,) = place.glob("*.deb")
    return deb


def initrd(world: World, name: str, modules: Path) -> None:
    """The first file system: it loads the disk's drivers, and goes on to the disk."""
    place = world.path("kernels", name, "unpacked", "initrd")
    for folder in ("bin", "dev", "modules", "system"):
        (place / folder).mkdir(parents=True)
    shutil.copy2("/bin/busybox", place / "bin/busybox")
    needed = in_order(modules)
    for file in needed:
        content = (modules / file).read_bytes()
        if file.endswith(".xz"):
            content = lzma.decompress(content)
        (place / "modules" / Path(file).name).write_bytes(content)
    init = place / "init"
    init.write_text(INITRD_INIT.format(modules=" ".join(Path(file).name for file in needed)))
    init.chmod(0o755)
    pack = 'cd "$1" && find . | cpio -o -H newc --quiet | gzip -1 >"$2"'
    target = world.path("kernels", name, "initrd")
    run(world, f"kernel-{name}", ["bash", "-o", "pipefail", "-c", pack, "pack", place, target])


def in_order(modules: Path) -> list[str]:
    """The drivers' files and what they need, each after what it needs."""
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        file, _, others = line.partition(":")
        needs[file] = others.split()
    named = {Path(file).name.partition(".")[0].replace("-", "_"): file for file in needs}
    order: list[str] = []
    for driver in DRIVERS:
        if driver in named:
            file = named[driver]
            # modules.dep lists the nearest first.
            order += [f for f in (*reversed(needs[file]), file) if f not in order]
    return order


def image(world: World) -> None:
    """The disk: the system, the guests of the user's, and the trees of root's."""
    tree = world.path("kernels", "tree")
    user = world.user
    for name, line in {
        "etc/passwd": f"{user.pw_name}:x:{user.pw_uid}:{user.pw_gid}::/home/user:/bin/sh",
        "etc/group": f"{user.pw_name}:x:{user.pw_gid}:",
        "etc/subuid": f"{user.pw_name}:100000:65536",
        "etc/subgid": f"{user.pw_name}:100000:65536",
    }.items():
        there = (tree / name).read_text() if (tree / name).exists() else ""
        if line not in there.splitlines():
            (tree / name).write_text(f"{there}{line}\n")
    home = tree / "home/user"
    home.mkdir(exist_ok=True)
    os.chown(home, user.pw_uid, user.pw_gid)
    init = tree / "usr/sbin/test-init"
    init.write_text(SYSTEM_INIT)
    init.chmod(0o755)
    for kind, names in {"guests": GUESTS, "trees": TREES}.items():
        shutil.rmtree(tree / "world" / kind, ignore_errors=True)
        (tree / "world" / kind).mkdir(parents=True)
        for name in names:
            words = ["cp", "-a", world.path(kind, name), tree / "world" / kind / name]
            run(world, "kernels-image", words)
    disk = world.path("kernels", ".system.ext4")
    disk.unlink(missing_ok=True)
    # Without checksums of metadata the oldest of the kernels needs no more drivers.
    words = ["mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum", "-d", tree, disk, "3G"]
    run(world, "kernels-image", words)
    disk.chmod(0o644)
    disk.rename(world.path("kernels", "system.ext4"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    default = os.environ.get("UDOCKPY_WORLD", DEFAULT_WORLD)
    parser.add_argument("directory", nargs="?", default=default)
    parser.add_argument("--user", help="who the guests belong to, as for prepare")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("kernels: must be run as root: debootstrap needs it")
    os.umask(0o022)
    world = World(Path(arguments.directory).absolute(), the_user(arguments.user), apt_mirror())
    world.path("kernels").mkdir(exist_ok=True)
    guests = "".join(world.path("stamps", f"guest-{name}").read_text() for name in GUESTS)
    for step in (
        Step("kernels-system", f"{SUITE} {' '.join(SYSTEM)}", system_tree),
        *(kernel(name, suite) for name, suite in KERNELS.items()),
        Step("kernels-image", digest([Path(__file__)]) + guests, image),
    ):
        perform(world, step)


if __name__ == "__main__":
    main()
