"""Scripts for tests/guests/rootlike.c: every kind of call, by everybody, on every kind of file.

tests/world/prepare.py has them written, and runs them where nothing interposes; test_rootlike.py
runs the same files in every engine.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product

WORK = "/opt/udockpy/work/rootlike"
# Another way to the same files, by which they are read-only.
READ_ONLY = "/opt/udockpy/readonly/rootlike"

OWNER, GROUP = 1000, 50  # of the file that an operation is about, if nothing else is said
ACTORS = {
    "root": "as 0 0",
    "owner": f"as {OWNER} {OWNER}",
    "member": f"as 2000 2000 {GROUP} 60",
    "stranger": "as 3000 3000",
}

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0).hex()
# sys/stat.h's types, by the names of the cases
TYPES = {
    "file": stat.S_IFREG,
    "dir": stat.S_IFDIR,
    "fifo": stat.S_IFIFO,
    "socket": stat.S_IFSOCK,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "link": stat.S_IFLNK,
    "dangling": stat.S_IFLNK,
    "missing": 0,
}
NULL_DEVICE = os.makedev(1, 3)


@dataclass(frozen=True)
class Case:
    """One directory full of files, and what is done there."""

    name: str
    lines: tuple[str, ...]


def case(name: str, *lines: str | Sequence[str]) -> Case:
    flat: list[str] = []
    for line in lines:
        flat += [line] if isinstance(line, str) else line
    return Case(name, tuple(flat))


# -- what there is before -----------------------------------------------------


def a_file(
    path: str, kind: str = "file", uid: int = OWNER, gid: int = GROUP, mode: int = 0o640
) -> list[str]:
    """The lines that make one."""
    owned = [f"lchown {path} {uid} {gid}"]
    moded = [f"chmod {path} 0{mode:o}"]
    if kind == "missing":
        return []
    if kind == "dir":
        return [f"mkdir {path} 0755", *owned, *moded]
    if kind == "dangling":
        return [f"symlink nowhere {path}", *owned]
    if kind == "link":
        return [*a_file("target", "file", uid, gid, mode), f"symlink {WORK}/target {path}", *owned]
    if kind == "file":
        make = [f"open {path} 0{os.O_CREAT | os.O_WRONLY:o} 0644", "write content"]
        return [*make, *owned, *moded]
    device = NULL_DEVICE if kind in ("char", "block") else 0
    return [f"mknod {path} 0{TYPES[kind] | 0o644:o} {device}", *owned, *moded]


def a_directory(path: str, uid: int, gid: int, mode: int) -> list[str]:
    return a_file(path, "dir", uid, gid, mode)


# What the file is in: how to make d, and the way to it.
PARENTS = {
    "plain": (a_directory("d", 0, 0, 0o755), "d"),
    "open": (a_directory("d", 0, 0, 0o777), "d"),
    "sticky": (a_directory("d", 0, 0, 0o1777), "d"),
    "setgid": (a_directory("d", OWNER, GROUP, 0o2775), "d"),
    "grouped": (a_directory("d", 0, GROUP, 0o770), "d"),
    "closed": (a_directory("d", 0, 0, 0o700), "d"),
    "listed": (a_directory("d", 0, 0, 0o744), "d"),
    "mine": (a_directory("d", OWNER, OWNER, 0o700), "d"),
    "none": ([], "d"),
    "file": (a_file("d"), "d"),
    "ro": (a_directory("d", 0, 0, 0o777), f"{READ_ONLY}/d"),
    "ro_plain": (a_directory("d", 0, 0, 0o755), f"{READ_ONLY}/d"),
    "ro_closed": (a_directory("d", 0, 0, 0o700), f"{READ_ONLY}/d"),
}


# -- what is done: {} is the file -----------------------------------------------------


def acl(*entries: tuple[int, int, int]) -> str:
    """A value of system.posix_acl_*: (tag, permissions, id) each."""
    packed = b"".join(
        struct.pack("<HHI", tag, bits, who & 0xFFFFFFFF) for tag, bits, who in entries
    )
    return (struct.pack("<I", 2) + packed).hex()


ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_GROUP, ACL_MASK, ACL_OTHER = 1, 2, 4, 8, 16, 32
ACL_MINIMAL = acl((ACL_USER_OBJ, 6, -1), (ACL_GROUP_OBJ, 4, -1), (ACL_OTHER, 0, -1))
ACL_FULL = acl(
    (ACL_USER_OBJ, 6, -1),
    (ACL_USER, 7, 3000),
    (ACL_GROUP_OBJ, 4, -1),
    (ACL_GROUP, 6, 60),
    (ACL_MASK, 6, -1),
    (ACL_OTHER, 0, -1),
)
ACL_WRONG = acl((ACL_USER_OBJ, 6, -1), (ACL_OTHER, 0, -1))
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"

LOOKING = {
    "stat": "stat {}",
    "readlink": "readlink {}",
    "chdir": "chdir {}",
    "list": "list {}",
    "access": "access {} 7",
    "access_write": "access {} 2",
    "access_there": "access {} 0",
    "faccessat2": f"faccessat2 {{}} 6 {0x200:#x}",
    "getxattr": "getxattr {} user.one",
    "get_capability": "getxattr {} security.capability",
    "get_acl": f"getxattr {{}} {ACCESS}",
    "listxattr": "listxattr {}",
    "llistxattr": "llistxattr {}",
    "open_path": f"open {{}} 0{os.O_PATH:o} 0",
    "open_read": f"open {{}} 0{os.O_RDONLY:o} 0",
    "open_directory": f"open {{}} 0{os.O_RDONLY | os.O_DIRECTORY:o} 0",
    "open_nofollow": f"open {{}} 0{os.O_RDONLY | os.O_NOFOLLOW:o} 0",
    "open_noatime": f"open {{}} 0{os.O_RDONLY | os.O_NOATIME:o} 0",
}
CHANGING = {
    "chmod": "chmod {} 0604",
    "chmod_setid": "chmod {} 06755",
    "fchmodat2": f"fchmodat2 {{}} 0751 {0x100:#x}",
    "chown": "chown {} 2000 60",
    "chown_group": "chown {} -1 60",
    "chown_nothing": "chown {} -1 -1",
    "lchown": f"lchown {{}} {OWNER} 60",
    "truncate": "truncate {} 3",
    "utimensat": "utimensat {} 0",
    "utimensat_times": "utimensat {} 0 100 200",
    "utimensat_now": "utimensat {} 0 now now",
    "utimensat_half": "utimensat {} 0 now omit",
    "utimensat_omit": "utimensat {} 0 omit omit",
    "utimensat_link": f"utimensat {{}} {0x100:#x} 100 200",
    "setxattr_user": "setxattr {} user.one 6162 0",
    "lsetxattr_user": "lsetxattr {} user.one 6162 0",
    "setxattr_trusted": "setxattr {} trusted.one 6162 0",
    "setxattr_capability": f"setxattr {{}} security.capability {CAPABILITY} 0",
    "setxattr_acl": f"setxattr {{}} {ACCESS} {ACL_FULL} 0",
    "setxattr_default": f"setxattr {{}} {DEFAULT} {ACL_FULL} 0",
    "setxattr_wrong": f"setxattr {{}} {ACCESS} {ACL_WRONG} 0",
    "setxattr_unknown": "setxattr {} unknown.one 6162 0",
    "removexattr_user": "removexattr {} user.one",
    "removexattr_trusted": "removexattr {} trusted.one",
    "removexattr_capability": "removexattr {} security.capability",
    "removexattr_acl": f"removexattr {{}} {ACCESS}",
    "open_write": f"open {{}} 0{os.O_WRONLY:o} 0",
    "open_update": f"open {{}} 0{os.O_RDWR:o} 0",
    "open_truncate": f"open {{}} 0{os.O_WRONLY | os.O_TRUNC:o} 0",
    "open_create": f"open {{}} 0{os.O_WRONLY | os.O_CREAT:o} 0666",
    "open_exclusive": f"open {{}} 0{os.O_WRONLY | os.O_CREAT | os.O_EXCL:o} 0666",
    "open_tmpfile": f"open {{}} 0{os.O_WRONLY | os.O_TMPFILE:o} 0666",
}
NAMING = {
    "mkdir": "mkdir {} 0777",
    "mkdir_bits": "mkdir {} 07777",
    "mkfifo": f"mknod {{}} 0{stat.S_IFIFO | 0o666:o} 0",
    "mknod_socket": f"mknod {{}} 0{stat.S_IFSOCK | 0o666:o} 0",
    "mknod_file": f"mknod {{}} 0{stat.S_IFREG | 0o6666:o} 0",
    "mknod_char": f"mknod {{}} 0{stat.S_IFCHR | 0o666:o} {NULL_DEVICE}",
    "mknod_block": f"mknod {{}} 0{stat.S_IFBLK | 0o660:o} {os.makedev(259, 70000)}",
    "mknod_dir": f"mknod {{}} 0{stat.S_IFDIR | 0o777:o} 0",
    "mknod_whiteout": f"mknod {{}} 0{stat.S_IFCHR:o} 0",
    "symlink": "symlink target {}",
    "unlink": "unlink {}",
    "rmdir": "rmdir {}",
    "rename_away": "rename {} other/y 0",
    "rename_here": "rename other/x {} 0",
    "rename_keep": "rename other/x {} 1",
    "exchange": "rename other/x {} 2",
    "link_away": "link {} other/y 0",
    "link_follow": f"link {{}} other/y {0x400:#x}",
    "link_here": "link other/x {} 0",
}
# Those that change nothing are one after the other.
OPERATIONS = {"look": tuple(LOOKING.values())}
OPERATIONS.update({what: (line,) for what, line in {**CHANGING, **NAMING}.items()})
# What makes something new says the same of whatever is there already.
MAKING = {what for what in NAMING if what.startswith(("mk", "symlink"))}
# Those that stand for others where it is the directory, or the name, that matters.
SOME = {"look", "chmod", "chown", "truncate", "utimensat", "setxattr_user", "setxattr_acl"}
SOME |= {what for what in CHANGING if what.startswith("open_")} | set(NAMING)
SOME -= {"mkdir_bits", "mknod_socket", "mknod_file", "mknod_block", "link_follow", "open_update"}
OF_MISSING = {
    "look",
    "chmod",
    "setxattr_user",
    "open_write",
    "open_create",
    "open_exclusive",
    *NAMING,
}
# A second place for those that need two: open to all, with a file that all may link.
OTHER = [*a_directory("other", 0, 0, 0o777), *a_file("other/x", "file", 0, 0, 0o666)]


def other(lines: Sequence[str]) -> Sequence[str]:
    return OTHER if "other" in lines[0] else ()


def one(name: str, actor: str, parent: str, kind: str, lines: Sequence[str]) -> Case:
    """An operation on a file of a kind in a directory of a kind."""
    make, way = PARENTS[parent]
    there = a_file("d/x", kind) if parent not in ("none", "file") else []
    done = [line.format(f"{way}/x") for line in lines]
    seen = "note d d/x target" + (" other/x other/y" if other(lines) else "")
    return case(name, make, there, other(lines), ACTORS[actor], done, seen)


def by_type() -> Iterator[Case]:
    """Every operation on every type of file."""
    for (what, lines), kind, actor in product(OPERATIONS.items(), TYPES, ACTORS):
        if what in MAKING and kind not in ("file", "dir", "dangling", "missing"):
            continue
        if what in CHANGING and (kind in ("missing", "block") or actor == "member"):
            continue
        yield one(f"type/{what}/{kind}/{actor}", actor, "open", kind, lines)


def by_parent() -> Iterator[Case]:
    """Every operation in every kind of directory."""
    for what, parent, kind, actor in product(sorted(SOME), PARENTS, ("file", "missing"), ACTORS):
        if (kind == "file" and (parent in ("none", "file") or what in MAKING)) or (
            kind == "missing" and what not in OF_MISSING
        ):
            continue
        name = f"parent/{what}/{parent}/{kind}/{actor}"
        yield one(name, actor, parent, kind, OPERATIONS[what])


# -- modes and owners -----------------------------------------------------

MODES = (0, 0o1777, 0o2755, 0o2745, 0o4755, 0o6711, 0o6600)


def modes() -> Iterator[Case]:
    """What chmod makes of a mode, and what chown, writing and truncating leave of it."""
    opened = f"open d/x 0{os.O_WRONLY:o} 0"
    looked = f"open d/x 0{os.O_RDONLY:o} 0"
    after: dict[str, tuple[str, ...]] = {
        "fchmod": (looked, "fchmod {mode}"),
        "chmod": ("chmod d/x {mode}",),
        "chown": ("chown d/x 2000 60",),
        "chown_same": (f"chown d/x {OWNER} {GROUP}",),
        "chown_nothing": ("chown d/x -1 -1",),
        "fchown": (looked, "fchown -1 60"),
        "chown_empty": (looked, "chown_empty 2000 -1"),
        "write": (opened, "write x"),
        "ftruncate": (opened, "ftruncate 2"),
        "ftruncate_same": (opened, "ftruncate 7"),
        "truncate": ("truncate d/x 9",),
        "open_truncate": (f"open d/x 0{os.O_WRONLY | os.O_TRUNC:o} 0",),
        "open_existing": (f"open d/x 0{os.O_WRONLY | os.O_CREAT:o} 0600", "write x"),
    }
    for what, kind, mode, actor in product(after, ("file", "dir"), MODES, ACTORS):
        if kind == "dir" and what not in ("chmod", "chown", "chown_nothing"):
            continue
        # Others get in by other bits.
        before = 0o646 if what in ("fchmod", "chmod") else mode | 0o006
        yield case(
            f"mode/{what}/{kind}/{mode:04o}/{actor}",
            a_directory("d", 0, 0, 0o777),
            a_file("d/x", kind, mode=before),
            ACTORS[actor],
            [line.format(mode=f"0{mode:o}") for line in after[what]],
            "note d/x",
        )
    for mode, actor in product((0o4755, 0o2755), ("owner", "stranger")):
        yield case(
            f"opened/{mode:o}/{actor}",
            a_file("x", mode=mode | 0o002),
            ACTORS[actor],
            f"open x 0{os.O_WRONLY:o} 0",
            "note x",
        )


def owners() -> Iterator[Case]:
    """Who may give what to whom."""
    ids = (
        (-1, -1),
        (OWNER, -1),
        (2000, -1),
        (0, 0),
        (-1, GROUP),
        (-1, 2000),
        (-1, OWNER),
        (2000, 60),
    )
    for (uid, gid), kind, actor in product(ids, ("file", "dir", "link", "char"), ACTORS):
        yield case(
            f"owner/{uid}:{gid}/{kind}/{actor}",
            a_directory("d", 0, 0, 0o777),
            a_file("d/x", kind),
            ACTORS[actor],
            f"lchown d/x {uid} {gid}",
            f"chown d/x {uid} {gid}",
            "note d/x target",
        )


def accesses() -> Iterator[Case]:
    """Who may do what with which mode."""
    some = (0, 0o400, 0o040, 0o004, 0o100, 0o010, 0o001, 0o070, 0o007, 0o755, 0o640, 0o077, 0o707)
    for mode, kind, actor in product(some, ("file", "dir", "char"), ACTORS):
        asked = [f"access d/x {want}" for want in range(8)]
        asked += [f"faccessat2 d/x {want} {0x200:#x}" for want in range(8)]
        asked += ["faccessat2 d/x 8 0", f"faccessat2 d/x 4 {0x1000:#x}"]
        opened = [f"open d/x 0{how:o} 0" for how in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR)]
        yield case(
            f"access/{kind}/{mode:04o}/{actor}",
            a_directory("d", 0, 0, 0o755),
            a_file("d/x", kind, mode=mode),
            ACTORS[actor],
            asked,
            opened,
            "stat d/x/y",
            "chdir d/x",
            "list d/x",
        )


def creations() -> Iterator[Case]:
    """The mode, owner and group of what is new."""
    making = {what: NAMING[what] for what in NAMING if what.startswith(("mk", "symlink"))}
    making["open"] = f"open {{}} 0{os.O_WRONLY | os.O_CREAT:o} 0666"
    making["open_setid"] = f"open {{}} 0{os.O_WRONLY | os.O_CREAT:o} 06777"
    making["open_none"] = f"open {{}} 0{os.O_RDWR | os.O_CREAT:o} 0"
    for (what, line), mask, bits, actor in product(
        making.items(), (0, 0o027), (0o0777, 0o2777), ACTORS
    ):
        yield case(
            f"new/{what}/{mask:03o}/{bits:04o}/{actor}",
            a_directory("d", 0, GROUP, bits),
            f"umask 0{mask:o}",
            ACTORS[actor],
            line.format("d/x"),
            "note d d/x",
        )


# -- names -----------------------------------------------------


def names() -> Iterator[Case]:
    """Long ones, and those with dots and slashes."""
    some = {
        "longest": "n" * 255,
        "too_long": "n" * 256,
        "long_path": "./" * 2040 + "x",
        "too_long_path": "./" * 2050 + "x",
        "dot": ".",
        "dots": "..",
        "slash": "x/",
        "slashes": "x//",
        "slash_dot": "x/.",
        "new_slash": "y/",
        "root": "/",
        "through_file": "x/y",
    }
    for what, (name, path), kind in product(sorted(SOME), some.items(), ("file", "dir")):
        lines = OPERATIONS[what]
        if (name in ("dot", "dots", "root") and what in CHANGING) or (
            name == "root" and other(lines)
        ):
            continue
        done = [line.format(path) for line in lines]
        yield case(
            f"name/{what}/{name}/{kind}", a_file("x", kind), other(lines), done, "note x y other/y"
        )


def renames() -> Iterator[Case]:
    """Every type over every type, and in sticky directories who owns what."""
    kinds = ("file", "dir", "full", "link", "fifo", "missing")
    for one_kind, other_kind, flags in product(kinds, kinds, (0, 1, 2, 3, 4)):
        made = []
        for path, kind in (("x", one_kind), ("y", other_kind)):
            made += a_file(path, "dir" if kind == "full" else kind, mode=0o755)
            made += [f"mkdir {path}/in 0755"] if kind == "full" else []
        yield case(
            f"rename/{one_kind}/{other_kind}/{flags}", made, f"rename x y {flags}", "note x y"
        )
    for holder, first, second, actor in product((0, OWNER, 3000), (0, OWNER), (0, OWNER), ACTORS):
        yield case(
            f"rename/sticky/{holder}/{first}/{second}/{actor}",
            a_directory("d", holder, 0, 0o1777),
            a_file("d/x", "file", first),
            a_file("d/y", "file", second),
            a_file("d/z", "dir", first),
            ACTORS[actor],
            "rename d/x d/y 0",
            "rename d/x d/new 0",
            "rename d/z d/moved 0",
            "rename d/y d/moved 2",
            "unlink d/new",
            "unlink d/y",
            "rmdir d/moved",
            "note d d/x d/y d/z d/new d/moved",
        )


# -- attributes -----------------------------------------------------


def attributes() -> Iterator[Case]:
    """Those that are remembered, and what they do."""
    for kind, actor in product(("file", "dir"), ACTORS):
        name = f"{kind}/{actor}"
        made = [*a_directory("d", 0, 0, 0o777), *a_file("d/x", kind, mode=0o600)]
        yield case(f"xattr/flags/{name}", made, ACTORS[actor], flags_of_xattrs("d/x"), "note d/x")
        yield case(
            f"xattr/root_set/{name}",
            made,
            [f"setxattr d/x {what} 6162 0" for what in ("user.one", "trusted.one", "security.one")],
            ACTORS[actor],
            [f"getxattr d/x {what}" for what in ("user.one", "trusted.one", "security.one")],
            [f"removexattr d/x {what}" for what in ("user.one", "trusted.one", "security.one")],
            "listxattr d/x",
            "note d/x",
        )
    changes = {
        os.O_WRONLY: ("write x", "ftruncate 2"),
        os.O_RDONLY: ("fchown -1 60", "fchmod 0700"),
    }
    for (how, lines), actor in product(changes.items(), ACTORS):
        for what in lines:
            yield case(
                f"xattr/capability/{what.split()[0]}/{actor}",
                a_file("x", mode=0o666),
                f"setxattr x security.capability {CAPABILITY} 0",
                ACTORS[actor],
                f"open x 0{how:o} 0",
                what,
                "getxattr x security.capability",
                "note x",
            )


def flags_of_xattrs(path: str) -> list[str]:
    lines = []
    for name in ("user.a", "trusted.a", "security.a"):
        lines += [
            f"setxattr {path} {name} 61 2",
            f"setxattr {path} {name} 61 1",
            f"setxattr {path} {name} 62 1",
            f"setxattr {path} {name} 62 2",
            f"setxattr {path} {name} 63 3",
            f"setxattr {path} {name} 63 4",
            f"getxattr {path} {name}",
            f"removexattr {path} {name}",
            f"removexattr {path} {name}",
        ]
    return lines


ACLS = {
    "minimal": ACL_MINIMAL,
    "full": ACL_FULL,
    "wrong": ACL_WRONG,
    "short": ACL_FULL[:-2],
    "version": "01" + ACL_FULL[2:],
    "empty": "02000000",
    "none": "-",
    "no_mask": acl(
        (ACL_USER_OBJ, 6, -1), (ACL_USER, 7, 3000), (ACL_GROUP_OBJ, 4, -1), (ACL_OTHER, 0, -1)
    ),
    "denies": acl(
        (ACL_USER_OBJ, 7, -1),
        (ACL_USER, 0, 3000),
        (ACL_GROUP_OBJ, 0, -1),
        (ACL_GROUP, 0, 60),
        (ACL_MASK, 7, -1),
        (ACL_OTHER, 7, -1),
    ),
    "search": acl(
        (ACL_USER_OBJ, 7, -1),
        (ACL_USER, 1, 2000),
        (ACL_USER, 5, 3000),
        (ACL_GROUP_OBJ, 7, -1),
        (ACL_MASK, 5, -1),
        (ACL_OTHER, 0, -1),
    ),
}


def acls() -> Iterator[Case]:
    """Access control lists: who may set them, what they grant, what new files inherit of them."""
    for (what, value), kind, actor in product(ACLS.items(), ("file", "dir"), ACTORS):
        path = "d/x"
        made = [*a_directory("d", 0, 0, 0o777), *a_file(path, kind, mode=0o640)]
        yield case(
            f"acl/set/{what}/{kind}/{actor}",
            made,
            f"chmod {path} 06640",
            ACTORS[actor],
            f"setxattr {path} {ACCESS} {value} 0",
            f"getxattr {path} {ACCESS}",
            f"listxattr {path}",
            "note d/x",
            f"chmod {path} 0751",
            "note d/x",
            f"removexattr {path} {ACCESS}",
            f"getxattr {path} {ACCESS}",
            "note d/x",
        )
        yield case(
            f"acl/grants/{what}/{kind}/{actor}",
            made,
            f"setxattr {path} {ACCESS} {value} 0",
            ACTORS[actor],
            [f"access {path} {want}" for want in range(8)],
            [f"open {path} 0{how:o} 0" for how in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR)],
            f"stat {path}/y",
            f"mkdir {path}/y 0755",
            "note d/x d/x/y",
        )
        if kind == "dir":
            yield case(
                f"acl/default/{what}/{actor}",
                made,
                f"chmod {path} 0777",
                f"setxattr {path} {DEFAULT} {value} 0",
                "note d/x",
                "umask 027",
                ACTORS[actor],
                f"open {path}/file 0{os.O_CREAT | os.O_WRONLY:o} 0666",
                f"mkdir {path}/dir 0777",
                f"mkdir {path}/private 0700",
                f"mknod {path}/fifo 0{stat.S_IFIFO | 0o666:o} 0",
                f"mknod {path}/char 0{stat.S_IFCHR | 0o666:o} {NULL_DEVICE}",
                f"symlink x {path}/link",
                f"mkdir {path}/dir/deep 0755",
                f"removexattr {path} {DEFAULT}",
                f"note d/x {path}/file {path}/dir {path}/private {path}/fifo {path}/char",
                f"note {path}/link {path}/dir/deep",
            )
    yield case(
        "acl/on_link", "symlink x y", f"lsetxattr y {ACCESS} {ACL_FULL} 0", f"lgetxattr y {ACCESS}"
    )


# -- processes -----------------------------------------------------


def processes() -> Iterator[Case]:
    """Signals, and who a process is to others."""
    for ruid, suid, actor, signo in product(
        (0, OWNER, 3000), (0, OWNER, 3000), ACTORS, (0, 15, 18)
    ):
        yield case(
            f"kill/{ruid}/{suid}/{actor}/{signo}", ACTORS[actor], f"kill {ruid} {suid} {signo}"
        )
    for actor in ACTORS:
        yield case(f"who/{actor}", ACTORS[actor], "peer", "status")
    for ruid, suid in product((0, OWNER), (0, OWNER, 3000)):
        yield case(f"whose/{ruid}/{suid}", f"whose {ruid} {suid}")


def devices() -> Iterator[Case]:
    """What opening a node gives."""
    some = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "urandom": (1, 9), "none": (511, 7)}
    for (name, numbers), kind, mode, actor in product(
        some.items(), ("char", "block"), (0o666, 0o600, 0), ACTORS
    ):
        if kind == "block" and name != "none":
            continue
        yield case(
            f"device/{name}/{kind}/{mode:04o}/{actor}",
            f"mknod x 0{TYPES[kind] | 0o600:o} {os.makedev(*numbers)}",
            f"chmod x 0{mode:o}",
            ACTORS[actor],
            f"open x 0{os.O_RDWR:o} 0",
            f"open x 0{os.O_RDONLY:o} 0",
            f"open x 0{os.O_RDONLY | os.O_CREAT:o} 0",
            f"open x 0{os.O_WRONLY | os.O_TRUNC:o} 0",
            f"open x 0{os.O_RDONLY | os.O_DIRECTORY:o} 0",
            f"open x 0{os.O_PATH:o} 0",
            "truncate x 0",
            "access x 6",
            "note x",
        )


CLASSES = (
    by_type,
    by_parent,
    modes,
    owners,
    accesses,
    creations,
    names,
    renames,
    attributes,
    acls,
    processes,
    devices,
)


def cases() -> Iterator[Case]:
    return chain.from_iterable(some() for some in CLASSES)


def script(some: Iterable[Case]) -> str:
    return "".join(f"case {c.name}\n" + "".join(f"{line}\n" for line in c.lines) for c in some)
