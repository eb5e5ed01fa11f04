"""The benchmark program: what it computes, and one tiny job from end to end."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parent.parent.parent.parent
sys.path.insert(0, str(TREE))

from bench import measure, table  # noqa: E402
from bench.jobs import NANOSECONDS, SECONDS, Job  # noqa: E402
from bench.runtimes import BASELINE, Command, Place, Runtime  # noqa: E402
from bench.trees import Trees  # noqa: E402


def direct(name: str) -> Runtime:
    """Runs a job where we are."""
    return Runtime(name, name, lambda _: "", lambda place, tree, words: Command(tuple(words)))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, pwd.getpwuid(os.getuid()), "proot")


def test_a_job_is_measured_by_every_runtime(place: Place) -> None:
    runtimes = [direct(BASELINE), direct("ours")]
    job = Job("sleep", "`sleep`", "sleep 0.05")
    results = measure.compare(place, Trees(place, place.work), runtimes, [job], repeats=3)
    for runtime in runtimes:
        series = results["sleep", runtime.name]
        assert len(series.samples) == 3
        assert all(0.05 <= seconds < 5 for seconds in series.values(""))
    rows = table.render(results, runtimes, [job], packages=0).splitlines()
    assert rows[0] == "|  | chroot | ours |"
    assert rows[2].startswith("| `sleep` | 0.")


def test_a_job_that_fails_is_said_to(place: Place) -> None:
    runtimes = [direct(BASELINE)]
    job = Job("bad", "bad", "echo why >&2; exit 3")
    results = measure.compare(place, Trees(place, place.work), runtimes, [job], repeats=2)
    assert results["bad", BASELINE].failure == "status 3: why"
    assert "`status 3: why`" in table.render(results, runtimes, [job], packages=0)


def test_a_job_may_print_its_own_rows() -> None:
    sample = measure.run(Command(("echo", "stat 12.5\nopen 7")), NANOSECONDS)
    assert sample.values == {"stat": 12.5, "open": 7}


def test_ratios_are_of_runs_next_to_each_other() -> None:
    assert measure.ratio([2, 30, 3], [1, 10, 1]) == 3


def test_processor_time_is_that_of_the_children() -> None:
    script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    assert measure.run(Command(("sh", "-c", script)), SECONDS).cpu > 0.01


def test_the_table_replaces_what_was_between_the_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{table.BEGIN}old\n{table.END}\nafter\n")
    table.update(readme, "new\n")
    table.update(readme, "newer\n")
    assert readme.read_text() == f"before\n{table.BEGIN}newer\n{table.END}\nafter\n"


def test_a_readme_without_markers_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("text\n")
    with pytest.raises(SystemExit, match="has no"):
        table.update(readme, "new\n")
    assert readme.read_text() == "text\n"
