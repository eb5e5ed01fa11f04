"""What a new container costs: python3 -m bench.containers

Compares, in turns, making and starting containers of an image of 30,000 files with what a copy of
its tree, or a tree of hard links, costs: seconds on the clock and of processors, and the ratios to
the copy. To be run as an ordinary user, from a clone with its helpers installed.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Callable

FILES, PER_FOLDER = 30_000, 20
BUSYBOX = "/bin/busybox"
CLONE = Path(__file__).resolve().parent.parent

Cost = tuple[float, float]  # seconds on the clock, and of processors


class Bench:
    """An image, and where its containers go."""

    def __init__(self, work: Path) -> None:
        self.tree = work / "tree"
        self.copies = work / "copies"
        self.copies.mkdir()
        self.environ = {
            **os.environ,
            "PYTHONPATH": os.fspath(CLONE),
            "UDOCKPY_HOME": os.fspath(work / "state"),
        }
        make_tree(self.tree)
        self.udockpy("import", os.fspath(self.tree), "image")
        self.container = self.udockpy("create", "image")

    def udockpy(self, *words: str) -> str:
        command = [sys.executable, "-m", "udockpy", *words]
        done = subprocess.run(command, env=self.environ, capture_output=True, check=True, cwd="/")
        return done.stdout.decode().strip()

    def copy(self, *options: str) -> None:
        target = tempfile.mkdtemp(dir=self.copies)
        subprocess.run(["cp", *options, self.tree, target], check=True)

    def create(self) -> None:
        self.udockpy("create", "image")

    def data_blocks(self) -> int:
        """Blocks of the files that only the container has; its fakedb is beside them."""
        folder = Path(self.environ["UDOCKPY_HOME"], "containers", self.container, "rootfs")
        found = (path.lstat() for path in folder.rglob("*") if not path.is_dir())
        return sum(status.st_blocks for status in found if status.st_nlink == 1)


def make_tree(tree: Path) -> None:
    """An image of many files, and a program to run."""
    for number in range(FILES // PER_FOLDER):
        folder = tree / "files" / str(number // 50) / str(number)
        folder.mkdir(parents=True)
        for file in range(PER_FOLDER):
            (folder / str(file)).write_bytes(bytes(4096))
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        (tree / name).mkdir()
    shutil.copy(BUSYBOX, tree / "bin/busybox")
    (tree / "bin/true").symlink_to("busybox")


def cost(action: Callable[[], object]) -> Cost:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    action()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def actions(bench: Bench) -> dict[str, Callable[[], object]]:
    def udockpy(*words: str) -> Callable[[], object]:
        return lambda: bench.udockpy(*words)

    return {
        "cp -a of the tree": lambda: bench.copy("-a"),
        "cp -al of the tree": lambda: bench.copy("-al"),
        "udockpy create": bench.create,
        "udockpy run --rm IMAGE true": udockpy("run", "--rm", "image", "true"),
        "udockpy run --rm --engine trap": udockpy(
            "run", "--rm", "--engine", "trap", "image", "true"
        ),
        "udockpy run --read-only IMAGE true": udockpy("run", "--read-only", "image", "true"),
        "udockpy run CONTAINER true": udockpy("run", bench.container, "true"),
        "python3 -c pass": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
    }


def table(costs: dict[str, list[Cost]]) -> str:
    baseline = next(iter(costs.values()))
    lines = [f"{'':36}{'wall':>8}{'ratio':>8}{'cpu':>8}{'ratio':>8}"]
    for name, found in costs.items():
        cells = []
        for which in (0, 1):
            ratios = (mine[which] / max(its[which], 1e-3) for mine, its in zip(found, baseline))
            cells.append(f"{median(c[which] for c in found):8.3f}{median(ratios):8.3f}")
        lines.append(f"{name:36}{''.join(cells)}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m bench.containers", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="how often; medians are shown")
    parser.add_argument("--work", default="/var/tmp", help="a directory on the filesystem to try")
    options = parser.parse_args(arguments)
    if os.geteuid() == 0:
        parser.error("to be run as an ordinary user: no mode keeps root from writing")
    with tempfile.TemporaryDirectory(prefix="udockpy-bench-", dir=options.work) as work:
        bench = Bench(Path(work))
        print(f"{FILES} files; data blocks of a new container: {bench.data_blocks()}")
        rows = actions(bench)
        costs: dict[str, list[Cost]] = {name: [] for name in rows}
        for _ in range(options.repeats):
            for name, action in rows.items():
                costs[name].append(cost(action))
        print(table(costs))


if __name__ == "__main__":
    main()
