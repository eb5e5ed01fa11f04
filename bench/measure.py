"""Runs jobs in turns, so that a load that comes and goes meets all runtimes alike."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.jobs import SECONDS, Job
from bench.runtimes import Command, Place, Runtime
from bench.trees import Trees

STARTS = 20
# Starts a command STARTS times; so little that it does not count.
LOOP = 'i=0; while [ $i -lt "$0" ]; do "$@" || exit 1; i=$((i+1)); done'


@dataclass(frozen=True)
class Sample:
    """One run: values by row ("" where the job is the row), and the processor time of all its
    processes in seconds.
    """

    values: dict[str, float]
    cpu: float


@dataclass
class Series:
    """All runs of one job by one runtime; what went wrong, if it did."""

    samples: list[Sample] = field(default_factory=list)
    failure: str = ""

    def values(self, row: str) -> list[float]:
        return [sample.values[row] for sample in self.samples]

    def cpu(self) -> list[float]:
        return [sample.cpu for sample in self.samples]


Results = dict[tuple[str, str], Series]


class Failed(Exception):
    """A job did not end with success: the last line of its complaint."""


def run(command: Command, unit: str) -> Sample:
    """Runs a command to its end; raises Failed."""
    start = time.perf_counter()
    process = command.start(subprocess.PIPE, subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        try:
            out, err = process.stdout.read(), process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
        except KeyboardInterrupt:
            process.kill()
            raise
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        complaint = err.decode(errors="replace").strip().splitlines() or ["no message"]
        raise Failed(f"status {process.returncode}: {complaint[-1]}")
    values = {"": wall} if unit == SECONDS else _printed(out.decode())
    return Sample(values, usage.ru_utime + usage.ru_stime)


def _printed(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in (line.split() for line in text.splitlines())}


def compare(
    place: Place, trees: Trees, runtimes: Sequence[Runtime], jobs: Sequence[Job], repeats: int
) -> Results:
    """Every job by every runtime, `repeats` times; half as often what takes minutes."""
    results: Results = {(job.name, each.name): Series() for job in jobs for each in runtimes}
    try:
        for job in jobs:
            _compare_job(place, trees, runtimes, job, repeats, results)
            _say(f"{job.name}: measured")
    except KeyboardInterrupt:
        _say("interrupted: this is what was measured until now")
    finally:
        trees.discard_fresh()
    return results


def _compare_job(
    place: Place,
    trees: Trees,
    runtimes: Sequence[Runtime],
    job: Job,
    repeats: int,
    results: Results,
) -> None:
    turns = max(1, repeats // 2) if job.fresh else repeats + 1
    for turn in range(turns):
        for runtime in _rotated(runtimes, turn):
            series = results[job.name, runtime.name]
            if series.failure:
                continue
            try:
                sample = _once(place, trees, runtime, job)
            except (Failed, RuntimeError) as e:
                series.failure = str(e)
                continue
            if turn or job.fresh:  # else it was to warm up
                series.samples.append(sample)


def _once(place: Place, trees: Trees, runtime: Runtime, job: Job) -> Sample:
    tree = trees.fresh(runtime.name) if job.fresh else trees.full
    return run(runtime.enter(place, tree, ("/bin/sh", "-c", job.script)), job.unit)


def startup(place: Place, trees: Trees, runtimes: Sequence[Runtime], repeats: int) -> Results:
    """How long it takes until a guest's `true` has ended, in seconds, by what starts it."""
    commands = {
        f"{each.title}, alone": each.enter(place, trees.full, ("true",)) for each in runtimes
    }
    commands["`python3 -c pass`"] = Command((sys.executable, "-c", "pass"), user=place.user)
    for engine in sorted(
        {"trap", "ptrace", "preload", "userns"} & {each.name for each in runtimes}
    ):
        words = ("run", "--engine", engine, "--root", str(trees.full), "true")
        commands[f"`udockpy run --engine {engine}`"] = place.udockpy(*words)
    results: Results = {("start", title): Series() for title in commands}
    for _ in range(repeats):
        for title, command in commands.items():
            argv = ("/bin/sh", "-c", LOOP, str(STARTS), *command.argv)
            sample = run(Command(argv, command.environ, command.user), SECONDS)
            once = Sample({"": sample.values[""] / STARTS}, sample.cpu / STARTS)
            results["start", title].samples.append(once)
    return results


def ratio(ours: Sequence[float], baseline: Sequence[float]) -> float:
    """The median of the ratios of runs made next to each other."""
    return median(one / other for one, other in zip(ours, baseline))


def _rotated(runtimes: Sequence[Runtime], turn: int) -> Iterator[Runtime]:
    """Nobody is always the first, or always behind the same neighbour's dirty pages."""
    for index in range(len(runtimes)):
        yield runtimes[(index + turn) % len(runtimes)]


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
