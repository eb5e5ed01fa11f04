"""The rules that a tool can check. Every file is looked at; none is left out silently."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parent.parent
IGNORED = {".git", ".tox", ".venv", ".demo", "_build", "__pycache__", "libexec"}


def walk(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.name in IGNORED or path.name.endswith((".egg-info", "_cache")):
            continue
        if path.is_symlink() or not path.is_dir():
            yield path
        elif path not in (TREE / "build", TREE / "dist"):
            yield from walk(path)


FILES = [path for path in walk(TREE) if path.is_file()]


def has_shebang(path: Path, interpreter: bytes) -> bool:
    with path.open("rb") as file:
        first = file.readline(100)
    return first.startswith(b"#!") and interpreter in first


PYTHON = [path for path in FILES if path.suffix == ".py" or has_shebang(path, b"python")]
SHELL = [path for path in FILES if path.suffix == ".sh" or has_shebang(path, b"sh")]
NATIVE = [path for path in FILES if path.suffix in {".c", ".h", ".S", ".def"}]


def relative(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(TREE)) for path in paths]


def check(*command: str, package: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]}: not found (pip install {package})")
    result = subprocess.run(
        command, cwd=TREE, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert result.returncode == 0, f"{command[0]}:\n{result.stdout}"


def test_there_is_something_to_check() -> None:
    assert TREE / "setup.py" in PYTHON
    assert TREE / "scripts/summary" in PYTHON
    assert TREE / "scripts/need" in SHELL
    assert any(path.suffix == ".h" for path in NATIVE)


def test_ruff_check() -> None:
    check("ruff", "check", "--no-cache", *relative(PYTHON), package="ruff")


def test_ruff_format() -> None:
    check("ruff", "format", "--no-cache", "--diff", "--quiet", *relative(PYTHON), package="ruff")


@pytest.mark.parametrize("package", ["udockpy", "bench"])
def test_mypy_of_a_package(package: str) -> None:
    check("mypy", "--strict", "-p", package, package="mypy")


def test_mypy_of_this_folder_of_tests() -> None:
    check("mypy", "--strict", *relative(sorted((TREE / "tests").glob("*.py"))), package="mypy")


def test_codespell() -> None:
    text = [*PYTHON, *SHELL, *NATIVE, *(path for path in FILES if path.suffix == ".md")]
    check("codespell", *relative(text), package="codespell")


@pytest.mark.parametrize("path", relative(SHELL))
def test_shell_script_parses(path: str) -> None:
    interpreter = "bash" if has_shebang(TREE / path, b"bash") else "sh"
    check(interpreter, "-n", path, package=interpreter)


@pytest.mark.parametrize("path", relative(PYTHON))
def test_python_is_valid_for_the_oldest_python(path: str) -> None:
    ast.parse((TREE / path).read_bytes(), path, feature_version=(3, 9))


@pytest.mark.parametrize("path", relative(NATIVE))
def test_c_is_tabs_and_at_most_120_columns(path: str) -> None:
    problems = []
    for number, line in enumerate((TREE / path).read_text().splitlines(), 1):
        if len(line.expandtabs(8)) > 120:
            problems.append(f"{path}:{number}: more than 120 columns")
        if line.startswith("        "):
            problems.append(f"{path}:{number}: indented with spaces")
        if line != line.rstrip():
            problems.append(f"{path}:{number}: trailing space")
    assert not problems, "\n".join(problems)


def test_text_files_end_with_one_newline() -> None:
    wrong = []
    for path in [*PYTHON, *SHELL, *NATIVE, *(path for path in FILES if path.suffix == ".md")]:
        data = path.read_bytes()
        if data and (not data.endswith(b"\n") or data.endswith(b"\n\n")):
            wrong.append(str(path.relative_to(TREE)))
    assert not wrong


def test_files_stay_readable() -> None:
    """One file is one noun: nobody reads a thousand lines."""
    long = {
        str(path.relative_to(TREE)): count
        for path in [*PYTHON, *SHELL, *NATIVE]
        if (count := len(path.read_text().splitlines())) > 1000
    }
    assert not long
