"""The grammar of definition files: what is read, and which line of what is not is named."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udockpy.build.definition import apps, grammar, rows, scripts, templates
from udockpy.errors import BuildError

WHOLE = """\
# a comment
BootStrap : docker  # another
From: debian:12
Include: apt \\
  dpkg
Stage: first

%help
  Help {{ WHO }}
%files
  a.txt
  "b c" /opt/b\\ c  # said
%files
  d

%post -c /bin/bash
  # not {{ FILLED }}
  echo {{WHO}}
%arguments
  WHO=world
  # nothing
  MORE = "two words"

bootstrap: scratch
%files from first
  /etc/os-release /x
%labels
  key  some value
  other "quoted"
%appenv foo
  {{ MORE }}
"""


def parsed(text: str, **given_: str) -> grammar.Definition:
    return grammar.parse(text, "x.def", given_)


def test_a_definition_with_everything() -> None:
    first, second = parsed(WHOLE.replace("{{ MORE }}", "A=1")).stages
    assert {key: value.text for key, value in first.header.items()} == {
        "bootstrap": "docker",
        "from": "debian:12",
        "include": "apt dpkg",
        "stage": "first",
    }
    assert first.header["stage"].line == 6
    assert [(section.name, section.arguments, section.line) for section in first.sections] == [
        ("help", "", 8),
        ("files", "", 10),
        ("files", "", 13),
        ("post", "-c /bin/bash", 16),
        ("arguments", "", 19),
    ]
    assert first.named("help")[0].text == "  Help world\n"
    assert first.named("post")[0].text == "  # not {{ FILLED }}\n  echo world\n"
    copied = [copy for section in first.named("files") for copy in rows.copies(section, "x.def")]
    assert copied == [("a.txt", "", 11), ("b c", "/opt/b c", 12), ("d", "", 14)]
    assert second.named("files")[0].arguments == "from first"
    found = rows.labels(second.named("labels")[0], "x.def")
    assert found == {"key": "some value", "other": "quoted"}
    assert [app.name for app in apps.of(second, "x.def")] == ["foo"]


def test_arguments_belong_to_their_stage_and_the_user_has_the_last_word() -> None:
    with pytest.raises(BuildError, match=r'x.def:31: the argument "MORE" has no value'):
        parsed(WHOLE)
    first, second = parsed(WHOLE, MORE="B=2", WHO="you").stages
    assert first.named("help")[0].text == "  Help you\n"
    assert second.named("appenv")[0].text == "  B=2\n"


def test_an_argument_without_a_place_is_refused_unless_told() -> None:
    text = "bootstrap: scratch\n"
    with pytest.raises(BuildError, match="build argument: TYPO"):
        parsed(text, TYPO="1")
    assert grammar.parse(text, "x.def", {"TYPO": "1"}, unused_ok=True).unused == ("TYPO",)


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ("", 1, "no Bootstrap: line"),
        ("From: debian\n", 1, "no Bootstrap: line"),
        ("bootstrap: docker\nform: debian\n", 2, 'unknown header key "form"'),
        ("bootstrap: docker\nfrom debian\n", 2, "not KEY: VALUE"),
        ("bootstrap: docker\n\nfrom:\n", 3, '"from" has no value'),
        ("bootstrap: scratch\n%pots\n", 2, 'unknown section "%pots"'),
        ("bootstrap: scratch\n%post\n  date +\n  %s\n", 4, 'unknown section "%s"'),
        ("%post\nbootstrap: scratch\n", 1, "before the first Bootstrap"),
        ("bootstrap: scratch\n%apprun\n", 2, "write %apprun NAME"),
        ("bootstrap: scratch\n%files from base\n", 2, 'no stage "base"'),
        ("bootstrap: scratch\n%files of base\n", 2, "%files from STAGE"),
        ("bootstrap: scratch\nstage: a\n%files from a\n", 3, 'no stage "a"'),
        ("bootstrap: a\nstage: a\nbootstrap: b\nstage: a\n", 4, 'second stage is named "a"'),
        ("bootstrap: scratch\n%arguments\nA B\n", 3, "not NAME=VALUE"),
        ("bootstrap: scratch\n%post\n\n{{ A }}\n", 4, '"A" has no value'),
        ("bootstrap: scratch\n%post\n\0\n", 3, "null byte"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, where: int, reason: str) -> None:
    with pytest.raises(BuildError) as caught:
        parsed(text)
    assert caught.value.subject == f"x.def:{where}"
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("section", "text", "reason"),
    [
        ("files", "a b c", "more than two names"),
        ("files", "'a", "no closing quotation"),
        ("labels", "alone", 'label "alone" has no value'),
    ],
)
def test_bad_rows_are_named_with_their_line(section: str, text: str, reason: str) -> None:
    (found,) = parsed(f"bootstrap: scratch\n%{section}\n\n{text}\n").stages[0].sections
    read = {"files": rows.copies, "labels": rows.labels}[section]
    with pytest.raises(BuildError, match=r"x.def:4") as caught:
        read(found, "x.def")
    assert reason in caught.value.reason


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden"])
def test_an_app_cannot_be_elsewhere(name: str) -> None:
    (stage,) = parsed(f"bootstrap: scratch\n%apprun {name}\n").stages
    with pytest.raises(BuildError, match=r"x.def:2.*name of an app"):
        apps.of(stage, "x.def")


def test_programs_keep_their_interpreter_and_get_the_sections_arguments() -> None:
    def made(body: str, arguments: str = "") -> str:
        text = f"bootstrap: scratch\n%runscript {arguments}\n{body}"
        return rows.program(parsed(text).stages[0].named("runscript"))

    assert made("  exec a\n") == "#!/bin/sh\n  exec a\n"
    assert made("\n#!/usr/bin/python3\nx\n") == "#!/usr/bin/python3\nx\n"
    assert made("x\n", "-e") == "#!/bin/sh -e\nx\n"


def test_scripts_keep_the_line_numbers_of_their_definition() -> None:
    text = "bootstrap: scratch\n\n%post\necho a\n%test\n%post\nfalse\n"
    script = rows.numbered(parsed(text).stages[0].named("post"))
    assert script.splitlines()[3] == text.splitlines()[3] == "echo a"
    assert script.splitlines()[6] == text.splitlines()[6] == "false"


def test_a_place_in_a_comment_is_left_alone() -> None:
    used: set[str] = set()
    assert templates.fill(" # {{ A }}", {}, used) == " # {{ A }}"
    assert templates.fill("{{A}}-{{  A  }}-{ {A}}", {"A": "{{B}}"}, used) == "{{B}}-{{B}}-{ {A}}"
    assert used == {"A"}


def sh(script: str, *words: str, **environ: str) -> str:
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *words], env=environ, capture_output=True, check=True
    )
    return done.stdout.decode()


@pytest.mark.parametrize("value", ["plain", "", "a b", "it's", '"$HOME" `id` \\', "a}b", "a\nb"])
def test_variables_of_an_image_are_what_it_says_unless_set(value: str) -> None:
    text = scripts.exported((f"KEY={value}", "PATH=/image", "not-a.name=x", "alone"))
    show = 'printf "%s|%s" "$KEY" "$PATH"'
    assert sh(text + show, PATH="/usr/bin") == f"{value}|/image"
    assert sh(text + show, KEY="own") == "own|/image"


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "arguments", "expected"),
    [
        (("printf", "%s|"), ("a b", "'"), (), "a b|'|"),
        (("printf", "%s|"), ("a",), ("x", "y z"), "x|y z|"),
        ((), ("echo", "cmd"), (), "cmd\n"),
        ((), ("echo", "cmd"), ("echo", "x"), "x\n"),
        (("echo",), (), (), "\n"),
    ],
)
def test_the_runscript_of_an_image(
    entrypoint: tuple[str, ...], cmd: tuple[str, ...], arguments: tuple[str, ...], expected: str
) -> None:
    script = scripts.of_image(entrypoint, cmd)
    assert sh(script, *arguments, PATH=os.defpath) == expected


WORDS = st.sampled_from(
    [
        *("Bootstrap: scratch", "from: x", "%post", "%files from a", "Stage: a", "%labels"),
        *("%appfiles foo", "{{ A }}", "%arguments", "A=b", "key:"),
        *("\\", "#", " ", "%", ":", "'", "\r"),
    ]
)


@settings(database=None, deadline=None)
@given(st.lists(st.one_of(WORDS, st.text(max_size=12)), max_size=20).map("\n".join))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    try:
        found = grammar.parse(text, "x.def", {})
        for stage in found.stages:
            apps.of(stage, "x.def")
            for section in stage.sections:
                assert text.split("\n")[section.line - 1].lstrip().startswith("%")
                rows.copies(section, "x.def")
    except BuildError as e:
        line = int(e.subject.removeprefix("x.def:"))
        assert 1 <= line <= text.count("\n") + 1
