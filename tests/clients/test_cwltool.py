"""cwltool: its --singularity and its --user-space-docker-cmd, with workflows of its own tests."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from client import Client
from support.product import text

TOOL = """\
cwlVersion: v1.2
class: CommandLineTool
requirements:
  DockerRequirement: {dockerPull: "debian:stable-slim"}
  InlineJavascriptRequirement: {}
baseCommand: [sh, -c]
arguments: ['wc -l <"$(inputs.file.path)"; echo $OF_IMAGE $HOME; pwd; echo made >made; id -u']
inputs:
  file: File
outputs:
  said: {type: stdout}
  made: {type: File, outputBinding: {glob: made}}
stdout: said
"""
WAYS = {
    "singularity": ("--singularity",),
    "udocker": ("--user-space-docker-cmd=udocker",),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_reads_its_input_and_writes_its_output(
    client: Client, tmp_path: Path, way: str
) -> None:
    work = tmp_path / "work"
    (work / "tool.cwl").write_text(TOOL)
    (work / "input").write_text("1\n2\n3\n")
    done = client("cwltool", *WAYS[way], "tool.cwl", "--file", "input")
    assert done.returncode == 0, text(done)
    outputs = json.loads(done.stdout)
    assert Path(outputs["made"]["path"]).read_text() == "made\n"
    lines = Path(outputs["said"]["path"]).read_text().split("\n")
    assert lines[0].strip() == "3"
    assert lines[1].startswith("yes /")
    assert lines[3] == ("0" if way == "udocker" else str(os.getuid()))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("words", "output"),
    [
        (("echo.cwl", "--inp", "hello"), "hello\n"),
        (("wf/cat-tool.cwl", "--file1", "hello.txt"), "Hello world!\n"),
    ],
)
def test_its_own_workflows(
    client: Client, tmp_path: Path, way: str, words: tuple[str, ...], output: str
) -> None:
    cwltool = pytest.importorskip("cwltool", reason="cwltool: not installed (make test-clients)")
    tests = tmp_path / "tests"
    shutil.copytree(Path(cwltool.__file__).parent / "tests", tests)
    (tests / "hello.txt").write_text("Hello world!\n")
    container = ("--default-container", "docker.io/debian:stable-slim")
    done = client("cwltool", *WAYS[way], *container, *words, cwd=tests)
    assert done.returncode == 0, text(done)
    outputs = json.loads(done.stdout)
    found = next(iter(outputs.values()))
    assert (found if isinstance(found, str) else Path(found["path"]).read_text()) == output
