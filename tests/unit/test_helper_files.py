"""Helpers that are gone, damaged or of another build are told apart."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from udockpy import native
from udockpy.native import Health, health


@pytest.fixture
def libexec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation of one helper and one library."""
    monkeypatch.setattr(native, "LIBEXEC", os.fspath(tmp_path))
    lines = ["1.0 cpu"]
    for name, mode in (("helper", 0o755), ("core.so", 0o644)):
        (tmp_path / name).write_bytes(name.encode())
        (tmp_path / name).chmod(mode)
        lines.append(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}")
    (tmp_path / "BUILD").write_text("\n".join(lines))
    return tmp_path


def test_what_was_built_together_is_good(libexec: Path) -> None:
    assert health("1.0", "cpu") == [Health("helper"), Health("core.so")]


@pytest.mark.parametrize(("version", "machine"), [("1.1", "cpu"), ("1.0", "other")])
def test_another_build_is_told(libexec: Path, version: str, machine: str) -> None:
    first = health(version, machine)[0]
    assert first == Health("BUILD", f"built as 1.0 cpu, this is {version} {machine}")


def test_damaged_missing_and_not_executable(libexec: Path) -> None:
    (libexec / "core.so").unlink()
    (libexec / "helper").write_bytes(b"damaged")
    assert health("1.0", "cpu") == [
        Health("helper", "not the file that was built"),
        Health("core.so", "no such file"),
    ]
    (libexec / "helper").chmod(0o644)
    assert health("1.0", "cpu")[0] == Health("helper", "not executable")


def test_a_build_without_a_list_is_told(libexec: Path) -> None:
    (libexec / "BUILD").unlink()
    (found,) = health("1.0", "cpu")
    assert "No such file" in found.problem
