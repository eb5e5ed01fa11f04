"""snakemake: rules deployed in containers."""

from __future__ import annotations

from pathlib import Path

from client import Client
from support.product import text

SNAKEFILE = """\
container: "docker://debian:stable-slim"

rule all:
    input: "count.txt"

rule upper:
    input: "words.txt"
    output: "upper.txt"
    shell: "tr a-z A-Z <{input} >{output}; cat /etc/os-release >&2"

rule count:
    input: "upper.txt"
    output: "count.txt"
    shell: "(echo $OF_IMAGE; wc -w <{input}) >{output}"
"""


def test_rules_run_in_a_container(client: Client, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "Snakefile").write_text(SNAKEFILE)
    (work / "words.txt").write_text("one two three\n")
    done = client("snakemake", "--cores", "1", "--software-deployment-method", "apptainer")
    assert done.returncode == 0, text(done)
    assert (work / "upper.txt").read_text() == "ONE TWO THREE\n"
    assert (work / "count.txt").read_text().split() == ["yes", "3"]
    assert b"ID=client" in done.stderr
