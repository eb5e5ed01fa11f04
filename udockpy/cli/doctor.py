"""doctor."""

from __future__ import annotations

import os

import click

from udockpy.cli.output import print_json, print_line
from udockpy.errors import EXIT_ENGINE
from udockpy.operations import doctor as operations
from udockpy.operations.doctor import Finding, Report
from udockpy.store.filesystem import FEATURES, Filesystem

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def doctor(*, as_json: bool) -> int:
    """Say what works on this node, what does not, who forbids it, and what would allow it.

    Everything is tried anew. The exit status is 0 when some engine works, else 123.
    """
    report = operations.examine(os.environ)
    if as_json:
        print_json(report.document())
    else:
        for line in lines(report):
            print_line(line)
    return 0 if report.usable else EXIT_ENGINE


def lines(report: Report) -> list[str]:
    """The report for people."""
    return [
        "ENGINES",
        *(line for finding in report.engines for line in _finding(finding)),
        "",
        "ALSO",
        *(line for finding in report.extras for line in _finding(finding)),
        "",
        "HELPERS",
        *(f"  {helper.name:<20}{helper.problem or 'good'}" for helper in report.helpers),
        "",
        "STATE DIRECTORY",
        *(_state(report.state) if report.state else [f"  {report.state_problem}"]),
    ]


def _finding(finding: Finding) -> list[str]:
    found = [f"  {finding.name:<20}{'works' if finding.works else 'does not work'}"]
    if finding.reason:
        found.append(f"    why: {finding.reason}")
    if finding.cause:
        found.append(f"    who: {finding.cause.describe()}")
        found += [f"    to allow it: {line}" for line in finding.cause.allow]
    if finding.lost:
        found.append(f"    lost meanwhile: {finding.lost}")
    return found


def _state(state: Filesystem) -> list[str]:
    files = f", {state.free_files} files" if state.free_files >= 0 else ""
    found = [f"  {state.path}: {state.kind}, free {size(state.free)}{files}"]
    if state.network:
        found.append(
            "    several nodes share it, and memory maps only work within one:"
            " run what changes a container on one node at a time"
        )
    for name, there in state.features.items():
        feature = FEATURES[name]
        if there:
            found.append(f"  {feature.title:<20}works")
        else:
            reason = f" ({state.problem})" if name == "writable" else ""
            found.append(f"  {feature.title:<20}does not work{reason}")
            found.append(f"    lost meanwhile: {feature.lost}")
    return found


def size(number: float) -> str:
    """Bytes as people read them."""
    for unit in UNITS[:-1]:
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.0f} {UNITS[-1]}"
