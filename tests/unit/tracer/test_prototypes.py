"""python-ptrace's prototypes of the system calls against engines/core/syscalls.def: no call that
takes a path is without a row, and the rows' argument numbers are right.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

names = pytest.importorskip("ptrace.syscall.linux.x86_64", reason="python-ptrace is not installed")
prototypes = pytest.importorskip("ptrace.syscall.prototypes")

TABLE = Path(__file__).resolve().parents[3] / "engines/core/syscalls.def"
ROW = re.compile(r"^SYS\((\w+), [\w |]+, [\w()]+, (P\([^)]*\)|NOPATH), (P\([^)]*\)|NOPATH), ", re.M)
PATH = re.compile(r"P\((\w+), (\d), ")

# What points to characters or to a socket's address, and is no path of a file.
NO_PATHS = {
    "a buffer": """
        getrandom mincore mq_timedreceive mq_timedsend pread64 pwrite64 read setsockopt syslog write
    """,
    "an address in memory": "shmat shmdt",
    "a name that no file has": """
        add_key memfd_create mq_open mq_unlink request_key setdomainname sethostname
    """,
    "for administrators of the host, and nothing but words": """
        delete_module finit_module init_module kexec_file_load lookup_dcookie
    """,
}
# Calls that python-ptrace knows by name alone, and the table has no row for.
NO_PROTOTYPES = {
    "no path among the arguments": """
        arch_prctl get_thread_area iopl modify_ldt pidfd_getfd pidfd_open pidfd_send_signal
        pkey_alloc pkey_free pkey_mprotect preadv2 process_madvise pwritev2 rseq set_thread_area
    """,
    "ENOSYS in every kernel that has seccomp": """
        _sysctl afs_syscall create_module epoll_ctl_old epoll_wait_old get_kernel_syms getpmsg
        nfsservctl putpmsg query_module security timerfd tuxcall vserver
    """,
}


class Argument(NamedTuple):
    """Argument numbers of a path and of the directory it is relative to (-1: none)."""

    dirfd: int
    path: int


def rows() -> dict[str, list[Argument]]:
    """The path arguments in each row of the table."""
    found = {}
    for name, *columns in ROW.findall(TABLE.read_text()):
        found[name] = [
            Argument(-1 if dirfd == "CWD" else int(dirfd), int(path))
            for column in columns
            for dirfd, path in PATH.findall(column)
        ]
    return found


def words(reviewed: dict[str, str]) -> set[str]:
    return {word for line in reviewed.values() for word in line.split()}


def arguments(name: str) -> list[tuple[str, str]]:
    """Type and name of each argument."""
    return list(prototypes.SYSCALL_PROTOTYPES[name][1])


def may_be_path(kind: str) -> bool:
    return kind.endswith("char *") or kind.startswith("struct sockaddr")


KNOWN = set(names.SYSCALL_NAMES.values())
ROWS = rows()


def test_the_table_is_read_whole() -> None:
    assert len(ROWS) == TABLE.read_text().count("\nSYS(")


def test_every_call_that_takes_a_path_has_a_row() -> None:
    takes = {
        name
        for name in KNOWN & set(prototypes.SYSCALL_PROTOTYPES)
        if any(may_be_path(kind) for kind, _ in arguments(name))
    }
    assert takes - set(ROWS) - words(NO_PATHS) == set()
    assert words(NO_PATHS) <= takes - set(ROWS), "not needed any more"


def test_every_call_without_a_prototype_was_looked_at() -> None:
    unknown = KNOWN - set(prototypes.SYSCALL_PROTOTYPES) - set(ROWS)
    assert unknown == words(NO_PROTOTYPES)


@pytest.mark.parametrize("name", sorted(set(ROWS) & set(prototypes.SYSCALL_PROTOTYPES)))
def test_rows_name_the_right_arguments(name: str) -> None:
    kinds = arguments(name)
    for argument in ROWS[name]:
        kind, called = kinds[argument.path]
        assert kind.endswith("char *"), f"{argument}: {kind} {called}"
        if argument.dirfd >= 0:
            kind, called = kinds[argument.dirfd]
            assert (kind, called[-2:]) == ("int", "fd"), f"{argument}: {kind} {called}"
        else:
            before = kinds[argument.path - 1][1] if argument.path else ""
            assert "dfd" not in before, f"{argument}: relative to {before}"
