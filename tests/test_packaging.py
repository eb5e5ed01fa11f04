"""The wheel, the source distribution and the editable installation, as a user makes them."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parent.parent
HELPERS = [
    "libudockpy-core.so",
    "udockpy-preload",
    "udockpy-ptrace",
    "udockpy-ptrace-i386",
    "udockpy-trap",
    "udockpy-userns",
]
PYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13"]

for tool, package in {"make": "make", "cc": "gcc"}.items():
    if shutil.which(tool) is None:
        pytest.skip(f"{tool}: not found (Debian package {package})", allow_module_level=True)


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    result = subprocess.run(
        command,
        cwd=cwd,
        env={**clean, **environment},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, f"{command}: {result.returncode}:\n{result.stdout[-8000:]}"
    return result.stdout


def copy_of_tree(destination: Path) -> Path:
    """The tree as a fresh clone has it, without what builds leave behind."""

    def ignored(directory: str, names: list[str]) -> set[str]:
        # At the top build/ is what a build left; udockpy/build/ would be a package.
        at_top = (
            {"build", "dist", ".git", ".tox", ".venv", ".demo"}
            if Path(directory) == TREE
            else set()
        )
        anywhere = ("__pycache__", "libexec", "_cache", ".egg-info")
        return {name for name in names if name in at_top or name.endswith(anywhere)}

    shutil.copytree(TREE, destination, ignore=ignored, symlinks=True)
    return destination


def new_environment(directory: Path, python: str = sys.executable) -> Path:
    """A virtual environment; returns its Python."""
    if python == sys.executable:
        venv.create(directory, with_pip=True)
    else:
        run(python, "-m", "venv", directory)
    return directory / "bin/python"


def pip_install(python: Path, *words: str | Path) -> str:
    return run(python, "-m", "pip", "install", "--disable-pip-version-check", *words)


def helper_answers(helper: Path) -> None:
    """The helper is executable and is ours: without words it refuses, as udockpy."""
    result = subprocess.run([helper], text=True, capture_output=True, timeout=60, check=False)
    assert result.returncode == 125
    assert result.stderr.startswith("udockpy: ")


def package_of(python: Path) -> Path:
    code = "import udockpy, os; print(os.path.dirname(udockpy.__file__))"
    return Path(run(python, "-c", code, cwd=Path("/")).strip())


def udockpy_works(python: Path) -> None:
    version = re.search(r'__version__ = "(.*)"', (TREE / "udockpy/__init__.py").read_text())
    assert version
    assert version[1] in run(python.parent / "udockpy", "--version", cwd=Path("/"))
    assert version[1] in run(python, "-m", "udockpy", "--version", cwd=Path("/"))
    libexec = package_of(python) / "libexec"
    assert sorted(path.name for path in libexec.iterdir()) == sorted(["BUILD", *HELPERS])
    for program in ("udockpy-ptrace", "udockpy-trap", "udockpy-userns"):
        helper_answers(libexec / program)


@pytest.fixture(scope="session")
def spaced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree in a directory with spaces."""
    return copy_of_tree(tmp_path_factory.mktemp("source") / "a directory with spaces")


@pytest.fixture(scope="session")
def artefacts(spaced: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, and the wheel built from it."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", out, cwd=spaced)
    return out


@pytest.fixture(scope="session")
def wheel(artefacts: Path) -> Path:
    (path,) = artefacts.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def sdist(artefacts: Path) -> Path:
    (path,) = artefacts.glob("*.tar.gz")
    return path


def test_wheel_serves_every_python_of_the_platform(wheel: Path) -> None:
    assert re.fullmatch(rf"udockpy-[^-]+-py3-none-linux_{os.uname().machine}\.whl", wheel.name)


def test_wheel_holds_the_helpers_as_executables(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = {
            Path(info.filename).name: stat.S_IMODE(info.external_attr >> 16)
            for info in archive.infolist()
            if info.filename.startswith("udockpy/libexec/")
        }
    assert found == {**dict.fromkeys(HELPERS, 0o755), "BUILD": 0o644}


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    modules = {str(path.relative_to(TREE)) for path in (TREE / "udockpy").rglob("*.py")}
    assert modules <= names
    extra = names - modules - {f"udockpy/libexec/{name}" for name in [*HELPERS, "BUILD"]}
    assert extra <= {"udockpy/py.typed"}


def test_wheel_metadata_is_complete(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = {
            Path(name).name: archive.read(name).decode()
            for name in archive.namelist()
            if ".dist-info/" in name
        }
    assert "udockpy = udockpy.cli:main" in text["entry_points.txt"]
    assert "fakeroot = udockpy.cli:fakeroot" in text["entry_points.txt"]
    assert "Root-Is-Purelib: false" in text["WHEEL"]
    assert "Requires-Python: >=3.9" in text["METADATA"]
    assert "Requires-Dist: click" in text["METADATA"]
    assert "Apache License" in text["LICENSE"]


def test_no_path_of_the_machine_is_in_the_wheel(wheel: Path, spaced: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            assert os.fspath(spaced).encode() not in data, name
            assert os.fspath(TREE).encode() not in data, name


def test_source_distribution_is_complete(sdist: Path) -> None:
    """No source file of the native half is missing, and no object is there."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("LICENSE", "README.md", "setup.py", "setup.cfg", "pyproject.toml"):
        assert name in names
    sources = {
        str(path.relative_to(TREE))
        for path in (TREE / "engines").rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert sources <= names
    assert not [name for name in names if name.endswith((".o", ".a", ".so", ".pyc"))]


@pytest.mark.network
@pytest.mark.parametrize("version", PYTHONS)
def test_wheel_installs_on_every_python(version: str, wheel: Path, tmp_path: Path) -> None:
    python = shutil.which(f"python{version}")
    if python is None:
        pytest.skip(
            f"python{version}: not found on PATH (Debian package python{version}, or pyenv)"
        )
    # Some versions cannot make an environment when called through a symlink.
    inside = new_environment(tmp_path / "venv", os.path.realpath(python))
    pip_install(inside, wheel)
    udockpy_works(inside)


@pytest.mark.network
def test_installation_from_a_directory_with_spaces(spaced: Path, tmp_path: Path) -> None:
    python = new_environment(tmp_path / "venv with spaces")
    pip_install(python, spaced)
    # The script's first line cannot hold a space; pip writes one that can.
    udockpy_works(python)


@pytest.mark.network
@pytest.mark.parametrize("mode", ["lenient", "strict"])
def test_editable_installation(mode: str, tmp_path: Path) -> None:
    source = copy_of_tree(tmp_path / "source")
    python = new_environment(tmp_path / "venv")
    pip_install(python, "--config-settings", f"editable_mode={mode}", "--editable", source)
    udockpy_works(python)
    assert (source / "udockpy/libexec/udockpy-trap").exists()
    if mode == "lenient":
        assert package_of(python) == source / "udockpy"


@pytest.mark.network
def test_editable_installation_follows_a_change_of_the_native_half(tmp_path: Path) -> None:
    source = copy_of_tree(tmp_path / "source")
    python = new_environment(tmp_path / "venv")
    pip_install(python, "--editable", source)
    helper = package_of(python) / "libexec/udockpy-userns"
    before = helper.read_bytes()
    report = source / "engines/launch/report.c"
    report.write_text(report.read_text().replace("udockpy: ", "UDOCKPY: "))
    run("make", "-C", source / "engines", "install")
    assert helper.read_bytes() != before


@pytest.mark.network
def test_installation_can_be_moved(wheel: Path, tmp_path: Path) -> None:
    """Nothing in it knows where it is."""
    python = new_environment(tmp_path / "venv")
    pip_install(python, "--target", tmp_path / "first", wheel)
    (tmp_path / "first").rename(tmp_path / "another place")
    environment = {"PYTHONPATH": os.fspath(tmp_path / "another place")}
    assert "udockpy" in run(python, "-m", "udockpy", "--version", cwd=Path("/"), **environment)
    helper_answers(tmp_path / "another place/udockpy/libexec/udockpy-trap")


@pytest.mark.network
def test_missing_compiler_is_named(tmp_path: Path) -> None:
    source = copy_of_tree(tmp_path / "source")
    python = new_environment(tmp_path / "venv")
    result = subprocess.run(
        [python, "-m", "pip", "install", source],
        env={**os.environ, "CC": "no-such-compiler"},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=900,
        check=False,
    )
    assert result.returncode != 0
    assert "no-such-compiler: not found" in result.stdout
    assert "apt-get install" in result.stdout
