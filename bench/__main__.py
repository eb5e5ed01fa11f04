"""Compares the engines, in one run, with a real root's chroot and with other runtimes.

All runtimes run the same jobs in the same tree, in turns. The first column is what the chroot
needs; the others are ratios to it: wall-clock time, and in parentheses processor time.
"""

from __future__ import annotations

import argparse
import getpass
import os
import platform
import pwd
import sys
from pathlib import Path
from typing import Callable

from bench import measure, table
from bench.jobs import JOBS
from bench.runtimes import BASELINE, CLONE, RUNTIMES, Place, Runtime
from bench.trees import Trees

START = "start"
NAMES = (*(job.name for job in JOBS), START)


def main() -> None:
    options = parse()
    if os.geteuid() == 0:
        own_mounts()
    place = Place(options.work, pwd.getpwnam(options.user), options.proot)
    for directory in (place.work, place.home):
        make(directory, place.user)
    trees = Trees(place, options.world)
    trees.make()
    runtimes = usable(place, options.runtimes)
    jobs = [job for job in JOBS if job.name in options.jobs]
    text = heading(options.repeats, runtimes)
    if jobs:
        results = measure.compare(place, trees, runtimes, jobs, options.repeats)
        text += "\n" + table.render(results, runtimes, jobs, trees.packages())
    if START in options.jobs:
        text += "\n" + table.render_startup(
            measure.startup(place, trees, runtimes, options.repeats)
        )
    print(text, end="")
    if options.update_readme:
        table.update(CLONE / "README.md", text)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m bench", description=__doc__)
    names = tuple(runtime.name for runtime in RUNTIMES)
    parser.add_argument(
        "--jobs", type=listed(NAMES), default=NAMES, help=f"some of {','.join(NAMES)}"
    )
    parser.add_argument(
        "--runtimes", type=listed(names), default=names, help=f"some of {','.join(names)}"
    )
    parser.add_argument("--repeats", type=int, default=5, help="how often; medians are shown")
    parser.add_argument(
        "--world",
        type=Path,
        default=os.environ.get("UDOCKPY_WORLD", "/var/tmp/udockpy-world"),
        help="what tests/world/prepare made (%(default)s)",
    )
    parser.add_argument(
        "--work",
        type=Path,
        default="/var/tmp/udockpy-bench",
        help="where the trees are made, and kept for the next time (%(default)s)",
    )
    parser.add_argument(
        "--user",
        default="udockpy-test" if os.geteuid() == 0 else getpass.getuser(),
        help="when root: the ordinary user who runs all but the chroot (%(default)s)",
    )
    parser.add_argument("--proot", default="proot", help="the PRoot to run; see bench/fetch-proot")
    parser.add_argument(
        "--update-readme", action="store_true", help="put the table into README.md, too"
    )
    return parser.parse_args()


def listed(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def names(text: str) -> tuple[str, ...]:
        chosen = tuple(text.split(","))
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name}: not one of {', '.join(known)}")
        return chosen

    return names


def own_mounts() -> None:
    """Starts again in a mount namespace that ends with us: the baseline's mounts are in it."""
    if "UDOCKPY_BENCH_MOUNTS" in os.environ:
        return
    os.environ["UDOCKPY_BENCH_MOUNTS"] = "own"
    words = ("unshare", "--mount", "--propagation", "private", sys.executable, "-m", "bench")
    os.execvp(words[0], (*words, *sys.argv[1:]))


def make(directory: Path, user: pwd.struct_passwd) -> None:
    if not directory.exists():
        directory.mkdir(parents=True)
        if os.geteuid() == 0:
            os.chown(directory, user.pw_uid, user.pw_gid)


def usable(place: Place, wanted: tuple[str, ...]) -> list[Runtime]:
    found = []
    for runtime in RUNTIMES:
        reason = runtime.available(place)
        if runtime.name in wanted and reason:
            baseline = " (figures are not ratios)" if runtime.name == BASELINE else ""
            print(f"bench: without {runtime.title}: {reason}{baseline}", file=sys.stderr)
        elif runtime.name in wanted:
            found.append(runtime)
    return found


def heading(repeats: int, runtimes: list[Runtime]) -> str:
    what = (
        "Ratios to a real root's chroot, wall-clock time (and processor time)"
        if any(runtime.name == BASELINE for runtime in runtimes)
        else "Without the baseline, for which one must be root"
    )
    return (
        f"{what}; medians of {repeats} interleaved runs,"
        f" Linux {platform.release()}, {platform.machine()}, {os.cpu_count()} processors.\n"
    )


if __name__ == "__main__":
    main()
