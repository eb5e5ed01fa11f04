#!/usr/bin/env python3
"""Runs a command, and all its children, as on a node that forbids things.

``lockdown.py [OPTION...] -- COMMAND [ARG...]``

The refusals are seccomp filters, so any user can set them and nothing can take them off; an
ordinary user pays with ``no_new_privs``, root (with ``--user NAME``) does not. They know x86_64,
its i386 mode, and aarch64. What needs root (mounts, the limit) an ordinary user gets in a user
namespace that maps only himself.

=====================  =======================================================================
``--no-userns[=E]``    unshare, clone and setns of namespaces fail with E (EPERM; ENOSPC as
                       with a sysctl of 0; EINVAL as without CONFIG_USER_NS); no clone3
``--no-mount``         the mount family fails with EPERM: user namespaces that are of no use,
                       as under AppArmor
``--no-ptrace``        ptrace and its relatives fail with EPERM, as with ptrace_scope 3
``--no-seccomp``       no filters, as without CONFIG_SECCOMP_FILTER
``--no-xattr``         no extended attributes, as on ramfs and NFS v3
``--no-memfd``         memfd_create does not exist
``--no-openat2``       openat2 does not exist, as before Linux 5.6
``--no-own-code``      memory never becomes executable after it could be written, as with
                       MemoryDenyWriteExecute= of systemd
``--max-syscall N``    no system call above number N: 313 is Linux 3.10, 334 is 4.18, 435 is
                       5.4
``--userns-limit``     the kernel's own refusal: below a user namespace whose
                       max_user_namespaces is 0
``--noexec DIR``       DIR is mounted noexec, in a private namespace; may be repeated
``--read-only DIR``    the same, read-only
``--small-tmpfs DIR``  a tmpfs of 64 KiB over DIR, to fill up
``--no-fuse``          there is no /dev/fuse
``--user NAME``        (root) become this user at last
=====================  =======================================================================
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import pwd
import struct
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

AUDIT_ARCH_X86_64 = 0xC000003E
AUDIT_ARCH_I386 = 0x40000003
AUDIT_ARCH_AARCH64 = 0xC00000B7
ARCHITECTURES = (AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64)
X32_SYSCALL_BIT = 0x40000000

BPF_LD_W_ABS = 0x20
BPF_AND_K = 0x54
BPF_JA = 0x05
BPF_JEQ_K = 0x15
BPF_JGT_K = 0x25
BPF_JGE_K = 0x35
BPF_RET_K = 0x06
DATA_NR, DATA_ARCH, DATA_ARGS = 0, 4, 16
RET_ALLOW = 0x7FFF0000
RET_ERRNO = 0x00050000

PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEW_ANY = 0x7E020000  # every CLONE_NEW* flag of clone(2)
CLONE_NEWTIME = 0x00000080  # only unshare(2) has it

# (flag of statvfs, flag of mount): the same but for relatime
ST_RELATIME, MS_RELATIME = 4096, 1 << 21
KEPT_FLAGS = (*((1 << n, 1 << n) for n in (0, 1, 2, 3, 10, 11)), (ST_RELATIME, MS_RELATIME))

MS_RDONLY, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 8, 32, 4096, 16384, 1 << 18
MS_MOVE = 8192

PROT_WRITE, PROT_EXEC = 2, 4

# name: numbers on x86_64, i386, aarch64; None where the call does not exist
NUMBERS: dict[str, tuple[int | None, int | None, int | None]] = {
    "unshare": (272, 310, 97),
    "clone": (56, 120, 220),
    "clone3": (435, 435, 435),
    "setns": (308, 346, 268),
    "mount": (165, 21, 40),
    "umount2": (166, 52, 39),
    "pivot_root": (155, 217, 41),
    "open_tree": (428, 428, 428),
    "move_mount": (429, 429, 429),
    "fsopen": (430, 430, 430),
    "fsconfig": (431, 431, 431),
    "fsmount": (432, 432, 432),
    "fspick": (433, 433, 433),
    "mount_setattr": (442, 442, 442),
    "open_tree_attr": (467, 467, 467),
    "ptrace": (101, 26, 117),
    "process_vm_readv": (310, 347, 270),
    "process_vm_writev": (311, 348, 271),
    "kcmp": (312, 349, 272),
    "pidfd_getfd": (438, 438, 438),
    "seccomp": (317, 354, 277),
    "prctl": (157, 172, 167),
    "mmap": (9, 192, 222),
    "mprotect": (10, 125, 226),
    "pkey_mprotect": (329, 380, 288),
    "memfd_create": (319, 356, 279),
    "openat2": (437, 437, 437),
    "setxattr": (188, 226, 5),
    "lsetxattr": (189, 227, 6),
    "fsetxattr": (190, 228, 7),
    "getxattr": (191, 229, 8),
    "lgetxattr": (192, 230, 9),
    "fgetxattr": (193, 231, 10),
    "listxattr": (194, 232, 11),
    "llistxattr": (195, 233, 12),
    "flistxattr": (196, 234, 13),
    "removexattr": (197, 235, 14),
    "lremovexattr": (198, 236, 15),
    "fremovexattr": (199, 237, 16),
    "setxattrat": (463, 463, 463),
    "getxattrat": (464, 464, 464),
    "listxattrat": (465, 465, 465),
    "removexattrat": (466, 466, 466),
}
MOUNT_FAMILY = [
    "mount",
    "umount2",
    "pivot_root",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "open_tree_attr",
]
PTRACE_FAMILY = ["ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd"]
XATTR_FAMILY = [name for name in NUMBERS if "xattr" in name]

Instruction = tuple[int, int, int, int]


@dataclass(frozen=True)
class Rule:
    """One refusal: the call, its errno, and when: always, or when an argument has one bit of a
    mask, or a value, or that value within a mask."""

    call: str
    error: int
    argument: int = -1
    mask: int = 0
    value: int = -1

    def body(self) -> list[Instruction]:
        """What follows once the number matches; falls through with the number in the accumulator
        again."""
        refuse = (BPF_RET_K, 0, 0, RET_ERRNO | self.error)
        if self.argument < 0:
            return [refuse]
        load = (BPF_LD_W_ABS, 0, 0, DATA_ARGS + 8 * self.argument)
        again = (BPF_LD_W_ABS, 0, 0, DATA_NR)
        masked = [load, (BPF_AND_K, 0, 0, self.mask)] if self.mask else [load]
        if self.value < 0:
            return [*masked, (BPF_JEQ_K, 1, 0, 0), refuse, again]
        return [*masked, (BPF_JEQ_K, 0, 1, self.value), refuse, again]


def filter_for(rules: Sequence[Rule], max_syscall: int | None) -> list[Instruction]:
    """The whole filter, one block for each architecture."""
    program: list[Instruction] = [(BPF_LD_W_ABS, 0, 0, DATA_ARCH)]
    for index, architecture in enumerate(ARCHITECTURES):
        block: list[Instruction] = [(BPF_LD_W_ABS, 0, 0, DATA_NR)]
        if architecture == AUDIT_ARCH_X86_64:
            block += [
                (BPF_JGE_K, 0, 1, X32_SYSCALL_BIT),
                (BPF_RET_K, 0, 0, RET_ERRNO | errno.ENOSYS),
            ]
        for rule in rules:
            number = NUMBERS[rule.call][index]
            if number is not None:
                body = rule.body()
                block += [(BPF_JEQ_K, 0, len(body), number), *body]
        if max_syscall is not None and architecture != AUDIT_ARCH_I386:
            block += [(BPF_JGT_K, 0, 1, max_syscall), (BPF_RET_K, 0, 0, RET_ERRNO | errno.ENOSYS)]
        block.append((BPF_RET_K, 0, 0, RET_ALLOW))
        # A conditional jump reaches 255 instructions, so the block is passed over by an
        # unconditional one.
        program += [(BPF_JEQ_K, 1, 0, architecture), (BPF_JA, 0, 0, len(block)), *block]
    program.append((BPF_RET_K, 0, 0, RET_ALLOW))
    return program


def rules_for(options: argparse.Namespace) -> list[Rule]:
    rules: list[Rule] = []
    if options.no_userns:
        error = getattr(errno, options.no_userns)
        rules += [
            Rule("unshare", error, argument=0, mask=CLONE_NEW_ANY | CLONE_NEWTIME),
            Rule("clone", error, argument=0, mask=CLONE_NEW_ANY),
            Rule("clone3", errno.ENOSYS),  # its flags are in memory, out of a filter's sight
            Rule("setns", errno.EPERM),
        ]
    if options.no_mount:
        rules += [Rule(name, errno.EPERM) for name in MOUNT_FAMILY]
    if options.no_ptrace:
        rules += [Rule(name, errno.EPERM) for name in PTRACE_FAMILY]
    if options.no_seccomp:
        rules += [
            Rule("seccomp", errno.ENOSYS),
            Rule("prctl", errno.EINVAL, argument=0, value=PR_SET_SECCOMP),
        ]
    if options.no_xattr:
        rules += [Rule(name, errno.EOPNOTSUPP) for name in XATTR_FAMILY]
    if options.no_own_code:
        both = PROT_WRITE | PROT_EXEC
        rules += [
            Rule("mmap", errno.EPERM, argument=2, mask=both, value=both),
            Rule("mprotect", errno.EPERM, argument=2, mask=PROT_EXEC),
            Rule("pkey_mprotect", errno.EPERM, argument=2, mask=PROT_EXEC),
        ]
    if options.no_memfd:
        rules.append(Rule("memfd_create", errno.ENOSYS))
    if options.no_openat2:
        rules.append(Rule("openat2", errno.ENOSYS))
    return rules


# -- the kernel ------------------------------------------------------------

LIBC = ctypes.CDLL(None, use_errno=True)


def die(message: str) -> NoReturn:
    raise SystemExit(f"lockdown: {message}")


def check(what: str, result: int) -> None:
    if result != 0:
        die(f"{what}: {os.strerror(ctypes.get_errno())}")


class SockFprog(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def install(program: Sequence[Instruction], no_new_privs: bool) -> None:
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    memory = ctypes.create_string_buffer(code, len(code))
    argument = SockFprog(len(program), ctypes.addressof(memory))
    if no_new_privs:
        check("no_new_privs", LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    check("seccomp", LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(argument), 0, 0))


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    def encoded(text: str | None) -> bytes | None:
        return None if text is None else text.encode()

    words = encoded(source), encoded(target), encoded(kind), ctypes.c_ulong(flags), encoded(data)
    check(f"mount {target}", LIBC.mount(*words))


def remount(directory: str, flags: int) -> None:
    # With what is mounted below: a user namespace may not uncover anything.
    mount(directory, directory, None, MS_BIND | MS_REC)
    # Below a user namespace flags that are there cannot be taken off.
    there = os.statvfs(directory).f_flag
    for has, keeps in KEPT_FLAGS:
        flags |= keeps if there & has else 0
    mount("none", directory, None, MS_BIND | MS_REMOUNT | flags)


def remove_fuse() -> None:
    """Covers /dev with a tmpfs of everything in it but /dev/fuse."""
    new = tempfile.mkdtemp(prefix="lockdown-")
    mount("none", new, "tmpfs", 0, "mode=755")
    # The kernel looks for pts beside the ptmx that is opened.
    os.mkdir(f"{new}/pts")
    mount("none", f"{new}/pts", "devpts", 0, "newinstance,ptmxmode=0666")
    os.symlink("pts/ptmx", f"{new}/ptmx")
    for entry in os.scandir("/dev"):
        target = os.path.join(new, entry.name)
        if entry.name in ("fuse", "pts", "ptmx"):
            continue
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
        else:
            os.mkdir(target) if entry.is_dir() else open(target, "x").close()
            mount(entry.path, target, None, MS_BIND | MS_REC)
    mount(new, "/dev", None, MS_MOVE)
    os.rmdir(new)


def change_mounts(options: argparse.Namespace) -> None:
    check("unshare", LIBC.unshare(CLONE_NEWNS))
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    for directory in options.small_tmpfs:
        owner = os.stat(directory)
        mount("none", directory, "tmpfs", 0, "size=64k,nr_inodes=64")
        os.chown(directory, owner.st_uid, owner.st_gid)
    if options.no_fuse:
        remove_fuse()
    for directory in options.noexec:
        remount(directory, MS_NOEXEC)
    for directory in options.read_only:
        remount(directory, MS_RDONLY)


def enter_own_namespace() -> None:
    """A user namespace that maps the user to himself; exec takes its rights away again."""
    uid, gid = os.getuid(), os.getgid()
    check("unshare", LIBC.unshare(CLONE_NEWUSER))
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def set_limit() -> None:
    with open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("0")


def forbid_namespaces_below() -> None:
    """A user namespace that maps everybody to himself and may have no children."""
    me = os.getpid()
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.read(ready[0], 1)
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{me}/{name}", "w") as file:
                file.write("0 0 4294967295\n")
        os.write(done[1], b"x")
        os._exit(0)
    check("unshare", LIBC.unshare(CLONE_NEWUSER))
    os.write(ready[1], b"x")
    os.read(done[0], 1)
    os.waitpid(child, 0)
    for descriptor in (*ready, *done):
        os.close(descriptor)
    set_limit()


def become(user: pwd.struct_passwd) -> None:
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    os.environ.update(
        HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name, SHELL=user.pw_shell
    )
    for name in ("XDG_RUNTIME_DIR", "MAIL"):
        os.environ.pop(name, None)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument(
        "--no-userns", nargs="?", const="EPERM", choices=("EPERM", "ENOSPC", "EINVAL", "EACCES")
    )
    for name in ("mount", "ptrace", "seccomp", "xattr", "memfd", "openat2", "own-code", "fuse"):
        parser.add_argument(f"--no-{name}", action="store_true")
    parser.add_argument("--max-syscall", type=int)
    parser.add_argument("--userns-limit", action="store_true")
    for name in ("noexec", "read-only", "small-tmpfs"):
        parser.add_argument(f"--{name}", action="append", default=[], metavar="DIR")
    parser.add_argument("--user")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.command[:1] == ["--"]:
        del options.command[0]
    if not options.command:
        parser.error("no command")
    return options


def main() -> NoReturn:
    options = parse()
    is_root = os.geteuid() == 0
    mounts = options.noexec or options.read_only or options.small_tmpfs or options.no_fuse
    if options.user and not is_root:
        die("--user needs root")
    if (mounts or options.userns_limit) and not is_root:
        enter_own_namespace()
    if mounts:
        change_mounts(options)
    if options.userns_limit:
        if is_root:
            forbid_namespaces_below()
        else:
            set_limit()
    user = pwd.getpwnam(options.user) if options.user else None
    if user:
        os.initgroups(user.pw_name, user.pw_gid)
    rules = rules_for(options)
    if rules or options.max_syscall is not None:
        # Before the change of user: root needs no no_new_privs, and set-id programs keep working.
        install(filter_for(rules, options.max_syscall), no_new_privs=not is_root)
    if user:
        become(user)
    try:
        os.execvp(options.command[0], options.command)
    except OSError as error:
        die(f"{options.command[0]}: {error.strerror}")


if __name__ == "__main__":
    sys.exit(main())
