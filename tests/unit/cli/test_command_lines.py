"""The two readers of command lines understand the same."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import Any

import pytest

from udockpy.cli import group, quick, start
from udockpy.cli.options import RUN_OPTIONS
from udockpy.container.options import RunOptions
from udockpy.errors import UsageError

SAME = [
    "run t",
    "run t cmd",
    "run t cmd -x --root",
    "run t -- cmd",
    "run -- t cmd",
    "run --root --engine trap -v /a:/b -v/c -B /d --bind=/e:/f:ro t cmd ''",
    "run -e A=b -eC=d --env E --env-file=f -w /x -u www t sh -c 'exit 1'",
    "run --name n --rm --read-only --hostname=h --pid --ipc --net --dry-run --json --verbose t",
    "run --explain --json t",
    "run --image-user --platform linux/arm64 t",
    "run --engine= t",
    "run -w '' t",
    "exec --user 0:0 t id",
    "exec -e = t id",
]
LEFT_TO_CLICK = [
    "",
    "--help",
    "run",
    "run --help",
    "run -h t",
    "run --nosuch t",
    "run --roo t",
    "run --root=yes t",
    "run --engine",
    "run -v",
    "run --root",
    "run -it t",
    "exec --rm t id",
    "exec t",
    "shell t",
    "images",
]


@pytest.fixture
def by_click(monkeypatch: pytest.MonkeyPatch) -> list[RunOptions]:
    """Collects what click's reader would start."""
    seen: list[RunOptions] = []

    def note(verb: str, options: RunOptions, environ: Any) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(start, "start", note)
    monkeypatch.setattr("udockpy.cli.run.start", note)
    return seen


@pytest.mark.parametrize("line", SAME)
def test_both_readers_agree(line: str, by_click: list[RunOptions]) -> None:
    words = shlex.split(line)
    assert group.dispatch(words) == 0
    assert quick.parse(words) == by_click[0]


@pytest.mark.parametrize("line", LEFT_TO_CLICK)
def test_what_is_not_plain_is_left_to_click(line: str) -> None:
    assert quick.parse(shlex.split(line)) is None


@pytest.mark.parametrize(
    "line", ["run", "run --nosuch t", "run --engine", "exec t", "nosuch", "rm"]
)
def test_mistakes_are_our_errors(line: str) -> None:
    with pytest.raises(UsageError, match="bad command line") as caught:
        group.dispatch(shlex.split(line))
    assert caught.value.exit_code == 125
    assert "--help" in caught.value.hint


def test_every_option_has_a_field_and_every_field_an_option() -> None:
    assert {option.field for option in RUN_OPTIONS} == set(RunOptions._fields) - {
        "target",
        "command",
    }


def test_every_verb_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in group.VERBS:
        assert group.dispatch([verb, "--help"]) == 0
        assert f"Usage: udockpy {verb}" in capsys.readouterr().out


def test_a_run_of_a_sandbox_imports_nothing_of_registries() -> None:
    """What `run` imports costs every user at every start."""
    script = """
import sys
from udockpy.cli import quick, start
print(sorted(set(sys.modules) & {"urllib3", "ssl", "click", "tarfile", "json", "concurrent"}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"
