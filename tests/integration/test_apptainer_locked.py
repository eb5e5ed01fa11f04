"""The drop-in apptainer on a node that forbids user namespaces and tracing: the same tables."""

from __future__ import annotations

import sys

import pytest
from apptainer import ROWS, Row, Tool, check, installed
from support.product import LOCKDOWN

LOCKED = (sys.executable, str(LOCKDOWN), "--no-userns", "--no-ptrace", "--")


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    made = installed(tmp_path_factory.mktemp("locked"))
    made.node = LOCKED
    return made


@pytest.mark.parametrize("row", ROWS)
def test_as_apptainer_does(tool: Tool, row: Row) -> None:
    check(tool, row)


def test_what_needs_namespaces_is_done_without_and_said(tool: Tool) -> None:
    done = tool("exec", "--pid", "IMG", "true")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.startswith(b"WARNING: no pid namespace")
    for words in (("--userns",), ("--net", "--network", "none")):
        done = tool("exec", *words, "IMG", "true")
        assert (done.returncode, done.stdout) == (255, b"")
        assert done.stderr.startswith(b"FATAL:   ")
