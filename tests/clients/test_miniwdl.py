"""miniwdl: its back ends for Singularity and for udocker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from client import Client
from support.product import text

WORKFLOW = """\
version 1.0
task greet {
  input { File who }
  command <<<
    echo "hello $(cat ~{who}) $OF_IMAGE" | tee greeting
    echo to standard error >&2
  >>>
  output { String said = read_string(stdout())  File greeting = "greeting" }
  runtime { docker: "debian:stable-slim" }
}
workflow greetings {
  input { Array[File] who }
  scatter (one in who) { call greet { input: who = one } }
  output { Array[String] said = greet.said  Array[File] files = greet.greeting }
}
"""
# miniwdl's own defaults need a range of subordinate ids for --fakeroot, which ours does not.
CONFIGURATIONS = {
    "singularity": "[scheduler]\ncontainer_backend = singularity\n",
    "udocker": '[scheduler]\ncontainer_backend = udocker\n[udocker]\nexe = ["udocker"]\n',
}


@pytest.mark.parametrize("backend", CONFIGURATIONS)
def test_a_workflow_of_two_calls(client: Client, tmp_path: Path, backend: str) -> None:
    work = tmp_path / "work"
    (work / "greetings.wdl").write_text(WORKFLOW)
    (work / "miniwdl.cfg").write_text(CONFIGURATIONS[backend])
    for name in ("ann", "bob"):
        (work / name).write_text(f"{name}\n")
    done = client("miniwdl", "run", "--cfg", "miniwdl.cfg", "greetings.wdl", "who=ann", "who=bob")
    assert done.returncode == 0, text(done)
    outputs = json.loads(done.stdout)["outputs"]
    assert outputs["greetings.said"] == ["hello ann yes", "hello bob yes"]
    for path, said in zip(outputs["greetings.files"], outputs["greetings.said"]):
        assert Path(path).read_text() == f"{said}\n"
