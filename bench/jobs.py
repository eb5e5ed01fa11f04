"""What is measured. A job is a shell script for the guest; what it needs is made by trees.py."""

from __future__ import annotations

from dataclasses import dataclass

SECONDS, NANOSECONDS, KIBIBYTES = "s", "ns", "KiB"

PACKAGES = "openssh-server man-db git python3 gcc dbus default-jre-headless nodejs make libc6-dev"
INSTALL = (
    "apt-get -y -qq --no-install-recommends --no-download install "
    f"{PACKAGES} >/tmp/log 2>&1 || {{ tail -n 3 /tmp/log >&2; exit 1; }}"
)


@dataclass(frozen=True)
class Job:
    """One thing to measure, or, when it prints lines of "NAME VALUE", as many as it prints.

    `fresh` jobs change their tree, so each run gets a new copy and there is no run to warm up.
    """

    name: str
    title: str
    script: str
    unit: str = SECONDS
    fresh: bool = False


MICRO = {
    "stat": "`stat` of an absolute path",
    "stat-symlink": "`stat` through a symlink",
    "lstat-relative": "`lstat` of a plain name",
    "stat-missing": "`stat`, `ENOENT`",
    "fstat": "`fstat`",
    "open-close": "`open` and `close`",
    "access": "`access`",
    "readlink": "`readlink`",
    "getuid": "`getuid`",
    "getppid": "`getppid` (never intercepted)",
    "posix_spawn": "`posix_spawn` of `true`",
}

JOBS = (
    Job("micro", "", "/srv/bench/micro", unit=NANOSECONDS),
    Job("memory", "private memory of a process", "/srv/bench/micro memory", unit=KIBIBYTES),
    Job(
        "true",
        "`true` 300 times, from `sh`",
        "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done",
    ),
    Job("find", "`find / -xdev`, 5 times", "for i in 1 2 3 4 5; do find / -xdev >/dev/null; done"),
    Job(
        "git",
        "`git status`, 3000 files, 20 times",
        "cd /srv/bench/repository; i=0; while [ $i -lt 20 ]; do"
        " GIT_OPTIONAL_LOCKS=0 git status >/dev/null || exit 1; i=$((i+1)); done",
    ),
    Job(
        "python",
        "`python3 -c 'import ssl, json, asyncio'`, 5 times",
        "for i in 1 2 3 4 5; do python3 -c 'import ssl, json, asyncio' || exit 1; done",
    ),
    Job(
        "gcc",
        "`gcc -c`, 50 times",
        "d=$(mktemp -d); i=0; while [ $i -lt 50 ]; do"
        " gcc -O1 -c -o $d/out.o /srv/bench/hello.c || exit 1; i=$((i+1)); done; rm -r $d",
    ),
    Job("tar", "`tar cf - /usr`", "tar cf - /usr 2>/dev/null | cat >/dev/null"),
    Job("apt", "`apt-get install`, {packages} packages", INSTALL, fresh=True),
)
