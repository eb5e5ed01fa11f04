"""The documentation builds without a warning, its links lead somewhere, its examples are right."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

TREE = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [*TREE.glob("*.md"), *(p for p in (TREE / "docs").rglob("*.md") if "_build" not in p.parts)]
)
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


class Block(NamedTuple):
    """One fenced block of a page."""

    page: Path
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(TREE)}:{self.text.splitlines()[0] if self.text else ''}"


BLOCKS = [
    Block(page, language, text)
    for page in PAGES
    for language, text in FENCE.findall(page.read_text())
]


def commands() -> Iterator[tuple[Block, str]]:
    """What the reader is told to type."""
    for block in BLOCKS:
        if block.language == "console":
            for line in block.text.replace("\\\n", " ").splitlines():
                if line.startswith("$ "):
                    yield block, line[2:]


COMMANDS = list(commands())
TOOLS = {"cat", "chmod", "cp", "echo", "mkdir"}  # which everybody has


def test_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    if importlib.util.find_spec("myst_parser") is None:
        pytest.skip("sphinx and myst-parser: not installed (pip install sphinx myst-parser)")
    words = ["-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-d", f"{tmp_path}/trees"]
    result = subprocess.run(
        [sys.executable, *words, f"{TREE}/docs", f"{tmp_path}/html"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert (tmp_path / "html/index.html").is_file()


def test_every_verb_has_a_page() -> None:
    from udockpy.cli.group import VERBS

    assert {page.stem for page in (TREE / "docs/reference/cli").glob("*.md")} == set(VERBS)


def test_the_page_of_limits_is_made_from_what_the_tests_use() -> None:
    from support.limits import page

    assert (TREE / "docs/reference/limits.md").read_text() == page(), "run scripts/limits"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TREE)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_there_are_examples() -> None:
    assert len(COMMANDS) > 20
    assert {block.language for block in BLOCKS} >= {"console", "ini", "sh"}


@pytest.mark.parametrize(("block", "command"), COMMANDS, ids=[text for _, text in COMMANDS])
def test_command_is_one_that_exists(block: Block, command: str) -> None:
    words = shlex.split(command)
    if words[0] == "udockpy":
        check_udockpy(words[1:])
    elif words[0] == "make" and words[1] != "-C":
        makefile = (TREE / "Makefile").read_text()
        assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), block
        for variable in words[2:]:
            assert re.search(rf"^{variable.split('=')[0]} \?=", makefile, re.MULTILINE), block
    else:
        known = {".", "make", "pip", "pytest", "python3", "apptainer", "hello.sif", *TOOLS}
        assert words[0] in known or Path(words[0]).name in known, f"{block}: what is {words[0]}?"


def check_udockpy(words: list[str]) -> None:
    """The words parse as the verb's; nothing is run."""
    from udockpy.cli.group import group

    if words == ["--version"]:
        return
    verb, *rest = words
    with group.make_context("udockpy", [], resilient_parsing=True) as context:
        command = group.get_command(context, verb)
        assert command is not None, verb
        command.make_context(verb, rest, parent=context)


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.language in {"ini", "json", "python", "sh"}],
    ids=str,
)
def test_block_parses(block: Block) -> None:
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "python":
        compile(block.text, str(block), "exec")
    elif block.language == "sh":
        subprocess.run(["sh", "-n"], input=block.text, text=True, check=True)
    else:
        from udockpy.config import SECTION, SETTINGS

        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(block.text)
        assert parser.sections() == [SECTION]
        settings = {setting.name: setting for setting in SETTINGS}
        for name, value in parser[SECTION].items():
            settings[name].parse(value)


def test_pages_that_the_sources_name_are_there() -> None:
    named: dict[str, str] = {}
    for folder in ("engines", "udockpy", "tests", "scripts"):
        for path in sorted((TREE / folder).rglob("*")):
            if path.suffix in {".c", ".h", ".def", ".S", ".py"} and path.is_file():
                for page in re.findall(r"docs/[a-z0-9/-]+\.md", path.read_text(errors="replace")):
                    named[page] = str(path.relative_to(TREE))
    assert named
    missing = {page: source for page, source in named.items() if not (TREE / page).is_file()}
    assert not missing
