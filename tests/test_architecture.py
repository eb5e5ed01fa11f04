"""Dependencies point one way, in Python and in C: docs/explanation/architecture.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parent.parent
PACKAGE = TREE / "udockpy"
ENGINES = TREE / "engines"

# A module may import what stands further left, and its own folder.
LAYERS = [
    {"errors"},
    {"util"},
    {"config", "home", "native"},
    {"oci", "sif"},
    {"layer", "fakedb", "registry", "store", "tracer"},
    {"container"},
    {"engines"},
    {"build"},
    {"operations"},
    {"dropin"},
    {"cli"},
]
# The package itself (its version), and the entry of `python -m udockpy`.
BELOW_EVERYTHING = "__init__"
ABOVE_EVERYTHING = "__main__"
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
LEVEL[BELOW_EVERYTHING] = -1
LEVEL[ABOVE_EVERYTHING] = len(LAYERS)

MODULES = {
    ".".join(("udockpy", *path.relative_to(PACKAGE).with_suffix("").parts)).replace(
        ".__init__", ""
    ): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def part(module: str) -> str:
    """The top-level part a module belongs to: udockpy.oci.digest is of oci."""
    words = module.split(".")
    return words[1] if len(words) > 1 else BELOW_EVERYTHING


def resolve(name: str) -> str | None:
    """The module of ours that an imported dotted name is, or is in."""
    while name.split(".")[0] == "udockpy":
        if name in MODULES:
            return name
        name = name.rpartition(".")[0]
    return None


def imported_names(module: str, nodes: Iterator[ast.AST]) -> Iterator[str]:
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            origin = ".".join([*base, *filter(None, [node.module])]) if node.level else node.module
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def imports_of(module: str, *, lazy: bool = True) -> set[str]:
    """Modules of ours that `module` imports; without `lazy`, only those imported with it."""
    tree = ast.parse(MODULES[module].read_bytes())
    nodes = ast.walk(tree) if lazy else at_import(tree)
    found = {resolve(name) for name in imported_names(module, nodes)}
    return {name for name in found if name is not None and name != module}


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported: not function bodies, not `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from at_import(child)


def test_every_module_has_a_place() -> None:
    assert MODULES, "no module found"
    assert {part(module) for module in MODULES} <= set(LEVEL)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module: str) -> None:
    own = part(module)
    wrong = sorted(
        imported
        for imported in imports_of(module)
        if part(imported) != own and LEVEL[part(imported)] >= LEVEL[own]
    )
    assert not wrong, f"{module} ({own}) may not import {', '.join(wrong)}"


def test_no_import_cycles() -> None:
    graph = {module: imports_of(module, lazy=False) for module in MODULES}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for imported in sorted(graph[module]):
                visit(imported, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


# --- the native half ---

MAY_USE = {
    "core": set(),
    "launch": {"core"},
    "loader": {"core"},
    "calls": {"launch", "loader", "core"},
    "trap": {"calls", "launch", "loader", "core"},
    "userns": {"launch", "loader", "core"},
    "ptrace": {"calls", "launch", "loader", "core"},
    "preload": {"calls", "launch", "loader", "core"},
}
FREESTANDING = re.compile(
    r"(stddef|stdint|stdbool|stdarg)\.h|linux/.+\.h|asm/.+\.h|asm-generic/.+\.h"
)
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)
SOURCES = sorted(path for path in ENGINES.rglob("*") if path.suffix in {".c", ".h", ".S", ".def"})


def folder(path: Path) -> str:
    return path.relative_to(ENGINES).parts[0]


def find_header(source: Path, name: str) -> Path | None:
    """As the compiler's include path in engines/Makefile finds it, generated headers apart."""
    for base in (
        source.parent,
        ENGINES / "core",
        ENGINES,
        *sorted((ENGINES / "core/arch").iterdir()),
    ):
        if (base / name).is_file():
            return (base / name).resolve()
    return None


def test_every_native_folder_has_a_place() -> None:
    assert SOURCES, "no source found"
    assert {folder(path) for path in SOURCES} <= set(MAY_USE)


@pytest.mark.parametrize("source", [str(path.relative_to(ENGINES)) for path in SOURCES])
def test_native_includes_point_down(source: str) -> None:
    path = ENGINES / source
    wrong = []
    for bracket, name in INCLUDE.findall(path.read_text()):
        if bracket == "<":
            if not FREESTANDING.fullmatch(name):
                wrong.append(f"<{name}> is no freestanding header")
            continue
        header = find_header(path, name)
        if header is None:
            wrong.append(f'"{name}" is not in the tree')
        elif folder(header) not in {folder(path), *MAY_USE[folder(path)]}:
            wrong.append(f'"{name}" is of {folder(header)}')
    assert not wrong, f"{source}: {'; '.join(wrong)}"


@pytest.mark.parametrize("source", [str(path.relative_to(ENGINES)) for path in SOURCES])
def test_architectures_are_told_apart_in_one_place(source: str) -> None:
    if source.startswith("core/arch/") or source.endswith(".S"):
        return
    text = (ENGINES / source).read_text()
    conditional = re.findall(r"^\s*#\s*(?:el)?if.*__(?:x86_64|aarch64|i386)__", text, re.MULTILINE)
    assert not conditional, f"{source}: {conditional}"
