"""What a node allows is found out by trying; a yes is remembered, a no for a while."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from udockpy import native
from udockpy.engines import host
from udockpy.engines.interface import Host, Probe
from udockpy.home import Home


@pytest.fixture
def libexec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "libexec"
    path.mkdir()
    monkeypatch.setattr(native, "LIBEXEC", os.fspath(path))
    monkeypatch.setattr(host, "_surroundings", lambda release: b"here\n")
    return path


def helper(libexec: Path, name: str, script: str) -> None:
    """A helper whose --probe counts its calls."""
    path = libexec / name
    path.write_text(
        f'#!/bin/sh\n[ "$1" = --probe ] || exit 1\necho >>"{libexec}/calls-{name}"\n{script}\n'
    )
    path.chmod(0o755)


def calls(libexec: Path, name: str) -> int:
    return len((libexec / f"calls-{name}").read_text())


def gather(tmp_path: Path, *, fresh: bool = False) -> Host:
    return host.gather(Home(os.fspath(tmp_path / "home")), fresh=fresh)


def test_answers_are_remembered_but_a_no_not_for_long(
    libexec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000]
    monkeypatch.setattr(host, "_now", lambda: now[0])
    helper(libexec, "udockpy-userns", """echo '{"works": true, "proc": true, "subuids": false}'""")
    no = '{"works": false, "step": "filter", "errno": "EINVAL"}'
    helper(libexec, "udockpy-trap", f"echo '{no}'")
    refusal = Probe(works=False, step="filter", error="EINVAL", reason="Invalid argument")
    for now[0], tried in ((1000, 1), (1059, 1), (1060, 2), (1100, 2), (10, 3)):
        found = gather(tmp_path)
        assert found.probes["userns"] == Probe(works=True, lacks=("subuids",))
        assert found.probes["trap"] == refusal
        assert calls(libexec, "udockpy-userns") == 1
        assert calls(libexec, "udockpy-trap") == tried


def test_fresh_facts_replace_what_was_remembered(libexec: Path, tmp_path: Path) -> None:
    helper(libexec, "udockpy-trap", """echo '{"works": false, "step": "s", "errno": "EPERM"}'""")
    before = os.stat(libexec / "udockpy-trap")
    assert not gather(tmp_path).probes["trap"].works
    helper(libexec, "udockpy-trap", """echo '{"works": true}'""")
    os.utime(libexec / "udockpy-trap", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not gather(tmp_path).probes["trap"].works
    assert gather(tmp_path, fresh=True).probes["trap"].works
    assert gather(tmp_path).probes["trap"].works
    assert calls(libexec, "udockpy-trap") == 2


def test_a_memory_that_cannot_be_written_is_done_without(libexec: Path, tmp_path: Path) -> None:
    helper(libexec, "udockpy-trap", """echo '{"works": true}'""")
    (tmp_path / "home").write_text("in the way")
    assert gather(tmp_path).probes["trap"].works


def test_a_yes_is_forgotten_when_something_changed(
    libexec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(libexec, "udockpy-userns", """echo '{"works": true}'""")
    gather(tmp_path)
    monkeypatch.setattr(host, "_surroundings", lambda release: b"elsewhere\n")
    gather(tmp_path)
    os.utime(libexec / "udockpy-userns", (1, 1))
    gather(tmp_path)
    assert calls(libexec, "udockpy-userns") == 3


def test_where_nothing_may_be_remembered_every_run_tries(
    libexec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper(libexec, "udockpy-userns", """echo '{"works": true}'""")
    monkeypatch.setattr(host, "_surroundings", lambda release: None)
    gather(tmp_path)
    gather(tmp_path)
    assert calls(libexec, "udockpy-userns") == 2


def test_a_helper_that_is_gone_is_told_apart(libexec: Path, tmp_path: Path) -> None:
    assert gather(tmp_path).probes["trap"].missing


@pytest.mark.parametrize("script", ["kill -SYS $$", "echo nonsense", "echo '{}'", "true"])
def test_a_probe_that_dies_is_a_no(libexec: Path, tmp_path: Path, script: str) -> None:
    helper(libexec, "udockpy-trap", script)
    found = gather(tmp_path).probes["trap"]
    assert not found.works
    assert found.step == "probe"
