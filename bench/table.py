"""Results -> Markdown, and into the README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from bench.jobs import MICRO, SECONDS, Job
from bench.measure import Results, Series, ratio
from bench.runtimes import BASELINE, Runtime

BEGIN, END = "<!-- benchmark: begin -->\n", "<!-- benchmark: end -->"


def render(
    results: Results, runtimes: Sequence[Runtime], jobs: Sequence[Job], packages: int
) -> str:
    """The table of ratios, and why cells are empty."""
    head = ["", *(runtime.title for runtime in runtimes)]
    rows = [
        [title, *(_cell(results, job, row, runtime.name) for runtime in runtimes)]
        for job in jobs
        for row, title in _rows(job, packages)
    ]
    failures = [
        f"- {runtime.title}, {job.name}: `{results[job.name, runtime.name].failure}`"
        for job in jobs
        for runtime in runtimes
        if results[job.name, runtime.name].failure
    ]
    lines = [*_markdown(head, rows)]
    if failures:
        lines += ["", "Failures:", "", *failures]
    return "\n".join(lines) + "\n"


def render_startup(results: Results) -> str:
    """Milliseconds until `true` has ended."""
    rows = [
        [title, f"{1000 * median(series.values('')):.1f}"] for (_, title), series in results.items()
    ]
    return "\n".join(_markdown(["`true`, started by", "ms"], rows)) + "\n"


def _rows(job: Job, packages: int) -> Iterator[tuple[str, str]]:
    if job.name == "micro":
        yield from MICRO.items()
    else:
        row = job.name if job.unit != SECONDS else ""
        yield row, job.title.format(packages=packages)


def _cell(results: Results, job: Job, row: str, runtime: str) -> str:
    series, baseline = results[job.name, runtime], results.get((job.name, BASELINE))
    if series.failure:
        return "fails"
    if not series.samples:
        return "not measured"
    if runtime == BASELINE or baseline is None or not baseline.samples:
        return _absolute(series, job, row)
    wall = f"{ratio(series.values(row), baseline.values(row)):.2f}"
    if job.unit == "KiB":
        return f"{median(series.values(row)) - median(baseline.values(row)):+.0f} KiB"
    if job.unit != SECONDS:
        return wall
    return f"{wall} ({ratio(series.cpu(), baseline.cpu()):.2f})"


def _absolute(series: Series, job: Job, row: str) -> str:
    value = median(series.values(row))
    digits = 2 if job.unit == SECONDS else 0
    return f"{value:.{digits}f} {job.unit}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def update(readme: Path, text: str) -> None:
    """Puts text between the markers of a file."""
    old = readme.read_text()
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"bench: {readme}: has no {BEGIN.strip()} and {END}")
    readme.write_text(f"{before}{begin}{text}{end}{after}")
