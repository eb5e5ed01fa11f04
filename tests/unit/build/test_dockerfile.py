"""The grammar of Dockerfiles: lines, words, instructions, .dockerignore, settings and mounts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udockpy.build.dockerfile import grammar, ignore, lines, mounts, words
from udockpy.build.dockerfile import settings as configuration
from udockpy.errors import BuildError

KNOWN = {"A": "a", "EMPTY": "", "PATH": "/x/y/z.tar.gz", "TWO": "two words", "1": "one"}


def test_lines_are_joined_and_comments_dropped() -> None:
    assert lines.read("\\\n", "D").instructions == ()
    found = lines.read("# a\n\nFROM x\nrun a \\\n # no\n\n  b \\ \n c\nRUN \\\n", "D")
    assert [(line.number, line.keyword, line.text) for line in found.instructions] == [
        (3, "FROM", "x"),
        (4, "RUN", "a   b  c"),
        (9, "RUN", ""),
    ]


@pytest.mark.parametrize(
    ("text", "escape"),
    [
        ("# escape=`\nFROM x", "`"),
        ("#ESCAPE = `\nFROM x", "`"),
        ("# syntax=a/b:1\n# escape=`\nFROM x", "`"),
        ("# comment\n# escape=`\nFROM x", "\\"),
        ("FROM x\n# escape=`\n", "\\"),
    ],
)
def test_directives_stand_before_everything_else(text: str, escape: str) -> None:
    assert lines.read(text, "D").escape == escape


def test_here_documents_are_attached() -> None:
    text = "RUN <<A cat; cat <<-'B'\n$x\n\\\nA\n\tb\n\tB\nCOPY <<\"C\" <<D /t/\nc\nC\nD\nCMD <<E\n"
    first, second, third = lines.read(text, "D").instructions
    assert [(doc.name, doc.content, doc.expands, doc.mark) for doc in first.heredocs] == [
        ("A", "$x\n\\\n", True, "<<A"),
        ("B", "b\n", False, "<<-'B'"),
    ]
    assert [(doc.name, doc.content, doc.expands) for doc in second.heredocs] == [
        ("C", "c\n", False),
        ("D", "", True),
    ]
    assert (third.number, third.heredocs) == (11, ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A ${A}b $Ab $", "a ab  $"),
        ("${A:-x} ${EMPTY:-x} ${NONE:-x} ${EMPTY-x} ${NONE-x}", "a x x  x"),
        ("${A:+x} ${EMPTY:+x} ${NONE:+x} ${EMPTY+x} ${NONE+x}", "x   x "),
        ("${NONE:-${A}b} ${NONE:-'$A'} ${NONE:-\"q }\"}", "ab $A q }"),
        ('\'$A\' "$A" \\$A \\\\ "\\$A\\n"', "$A a $A \\ $A\\n"),
        (
            "${PATH#*/} ${PATH##*/} ${PATH%.*} ${PATH%%.*}",
            "x/y/z.tar.gz z.tar.gz /x/y/z.tar /x/y/z",
        ),
        ("${PATH/y/Y} ${PATH//[xyz]/-}", "/x/Y/z.tar.gz /-/-/-.tar.g-"),
        ("$1 ${A:?why}", "one a"),
        ("${A}${TWO}", "atwo words"),
    ],
)
def test_variables_are_put_in(text: str, expected: str) -> None:
    assert words.expand(text, KNOWN) == expected


@pytest.mark.parametrize(
    "text", ["${", "${}", "${A", "${A:-x", "'a", '"a', "${A!}", "${NONE:?why}"]
)
def test_malformed_words_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        words.expand(text, KNOWN)


def test_words_are_split_before_variables_are_put_in() -> None:
    assert words.expand_words("a 'b c' $TWO d\\ e \"\"f", KNOWN) == [
        "a",
        "b c",
        "two words",
        "d e",
        "f",
    ]
    assert words.expand_words("C:\\dir `$A", KNOWN, "`") == ["C:\\dir", "$A"]
    assert words.expand_heredoc("'$A' \"$A\" \\$A \\n", KNOWN) == "'a' \"a\" $A \\n"


def test_stages_and_their_instructions() -> None:
    text = (
        "ARG V=1\nFROM --platform=linux/arm64 a:$V AS One\n"
        "RUN --mount=type=tmpfs,target=/t x --y\nFROM one\n"
    )
    found = grammar.parse(text, "D")
    assert [item.text for item in found.arguments] == ["V=1"]
    first, second = found.stages
    assert (first.base, first.name, first.platform, first.line) == ("a:$V", "one", "linux/arm64", 2)
    (run,) = first.instructions
    assert (run.flags, run.text) == ((("mount", "type=tmpfs,target=/t"),), "x --y")
    assert run.describe() == "RUN --mount=type=tmpfs,target=/t x --y"
    assert (second.base, second.name, second.instructions) == ("one", "", ())


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ("", 1, "there is no FROM"),
        ("# nothing\n", 1, "there is no FROM"),
        ("RUN x\nFROM a\n", 1, "RUN comes before the first FROM"),
        ("FROM a\n\nRNU x\n", 3, "unknown instruction RNU"),
        ("FROM a\nRUN\n", 2, "RUN says nothing"),
        ("FROM a b c d\n", 1, "write FROM IMAGE [AS NAME]"),
        ("FROM a IS b\n", 1, "write FROM IMAGE [AS NAME]"),
        ("FROM a AS 1b\n", 1, '"1b" cannot be the name of a stage'),
        ("FROM a AS b\nFROM c AS B\n", 2, 'a second stage is named "b"'),
        ("FROM a\nCOPY --form=b /x /y\n", 2, "COPY has no flag --form"),
        ("FROM a\nONBUILD FROM b\n", 2, "ONBUILD FROM is not allowed"),
        ("FROM a\nONBUILD RNU b\n", 2, "unknown instruction RNU"),
        ("FROM a\nRUN <<E\nx\n", 2, "the here-document E does not end"),
        ("# escape=x\nFROM a\n", 1, "escape is neither"),
        ("FROM a\nRUN \\\n  x\0\n", 3, "null byte"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, where: int, reason: str) -> None:
    with pytest.raises(BuildError) as caught:
        grammar.parse(text, "D")
    assert (caught.value.subject, reason in caught.value.reason) == (f"D:{where}", True)


@pytest.mark.parametrize(
    ("pattern", "hidden", "shown"),
    [
        ("a", "a a/b", "b ab b/a"),
        ("/a/", "a a/b", "b/a"),
        ("*/b", "a/b a/b/c", "b a/c/b"),
        ("*.txt", "a.txt .txt", "d/a.txt"),
        ("**/*.txt", "a.txt d/a.txt d/e/a.txt", "a.txtx"),
        ("**", "a a/b", ""),
        ("a/**/b", "a/b a/x/b a/x/y/b", "a/xb b"),
        ("a?[b-d]", "axb ayd", "axe ab a/b"),
        ("a[^b]", "ac", "ab a"),
        ("*\n!b", "a b.txt", "b b/c"),
        ("*\n!b\nb/c", "a b/c b/c/d", "b b/d"),
        ("# a\n#b\n", "", "a #b"),
        (".", "", "a"),
        ("./a/../b", "b", "a"),
        (r"\*", "*", "a"),
    ],
)
def test_what_is_ignored(pattern: str, hidden: str, shown: str) -> None:
    found = ignore.parse(pattern)
    assert [path for path in hidden.split() if not found.hides(path)] == []
    assert [path for path in shown.split() if found.hides(path)] == []
    assert not found.hides("")


@pytest.mark.parametrize("pattern", ["[a", "[b-a]"])
def test_patterns_that_are_none_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\["):
        ignore.parse(pattern)


def changed(text: str, change: Any) -> dict[str, Any]:
    (line,) = lines.read(text, "D").instructions
    made: dict[str, Any] = {}
    change(made, grammar.instruction(line, "D"))
    return made


def test_health_checks() -> None:
    made = changed(
        "HEALTHCHECK --interval=1h0.5s --retries=2 CMD a b", configuration.set_health_check
    )
    assert made["Healthcheck"] == {
        "Test": ["CMD-SHELL", "a b"],
        "Interval": 3_600_500_000_000,
        "Retries": 2,
    }


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("HEALTHCHECK a", configuration.set_health_check),
        ("HEALTHCHECK --interval=5 CMD a", configuration.set_health_check),
        ("HEALTHCHECK --retries=x CMD a", configuration.set_health_check),
        ("SHELL /bin/sh", configuration.set_shell),
        ("SHELL []", configuration.set_shell),
    ],
)
def test_settings_that_are_none_are_refused(text: str, change: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        changed(text, change)


@pytest.mark.parametrize("port", ["x", "0", "65536", "2-1", "80/icmp", "", "1-"])
def test_ports_that_are_none_are_refused(port: str) -> None:
    with pytest.raises(ValueError, match="no port"):
        configuration.add_ports({}, [port])


def test_mounts() -> None:
    found = mounts.parse("type=cache,dst=/c,id=x,ro")
    assert (found.kind, found.value("target"), found.value("id")) == ("cache", "/c", "x")
    assert not found.is_writable
    assert not mounts.parse("target=/x").is_writable
    assert mounts.parse("type=bind,target=/x,rw").is_writable
    assert mounts.parse("type=tmpfs,target=/x").is_writable


@pytest.mark.parametrize(
    "text", ["type=ssh", "type=bind", "type=tmpfs", "type=secret", "target", "target=/x,od=1"]
)
def test_mounts_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        mounts.parse(text)


PIECES = st.sampled_from(
    [
        *(
            "FROM a AS b",
            "FROM b",
            "RUN x",
            "RUN <<E",
            "E",
            "COPY <<E --from=b /x $A /y",
            "ARG A=b",
        ),
        *(
            "ENV A=$B",
            "LABEL",
            "ONBUILD RUN x",
            '["a"]',
            "--mount=type=bind,target=/x",
            "# escape=`",
        ),
        *("\\", "`", "#", "${A:-", "}", "'", '"', " ", "\t", "\r"),
    ]
)


@settings(database=None, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=10)), max_size=20), st.sampled_from("\n "))
def test_any_text_is_read_or_refused_with_a_line(pieces: list[str], separator: str) -> None:
    text = separator.join(pieces)
    try:
        found = grammar.parse(text, "D")
        for stage in found.stages:
            for item in stage.instructions:
                row = text.split("\n")[item.line - 1].strip()
                assert row.upper().startswith(item.keyword)
    except BuildError as e:
        line = int(e.subject.removeprefix("D:"))
        assert 1 <= line <= text.count("\n") + 1


@settings(database=None, deadline=None)
@given(st.text("ab$ {}:-+?#%/\\'\"", max_size=30))
def test_any_word_is_read_or_refused(text: str) -> None:
    try:
        words.expand_words(text, KNOWN)
        words.expand_heredoc(text, KNOWN)
    except ValueError as e:
        reason = str(e)
        assert reason


@settings(database=None, deadline=None)
@given(st.text("ab/*?[]!^-\\.#\n", max_size=30), st.text("ab/.", max_size=10))
def test_any_pattern_is_read_or_refused(text: str, path: str) -> None:
    try:
        ignore.parse(text).hides(path)
    except ValueError as e:
        reason = str(e)
        assert reason
