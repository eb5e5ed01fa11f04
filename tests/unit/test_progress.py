"""How the progress of a pull is shown: on a terminal, in a file, and not at all."""

from __future__ import annotations

import pty
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from udockpy.operations import progress as operations
from udockpy.operations.progress import Progress


def work(progress: Progress) -> None:
    with progress:
        progress.begin("layer 1/2", "5 MB")
        progress.begin("layer 2/2", "1 MB")
        progress.update("layer 1/2", "2 MB of 5 MB")
        progress.end("layer 1/2", "5 MB")
        progress.update("layer 2/2", "x" * 500)
        progress.end("layer 2/2", "1 MB")
        progress.tell("done")


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Standard error on a terminal; yields what came there, afterwards."""
    came: list[str] = []
    main, other = pty.openpty()
    with (
        open(main, newline="") as reader,
        open(other, "w") as writer,
        monkeypatch.context() as patched,
    ):
        patched.setattr(sys, "stderr", writer)
        patched.setattr(operations, "PAUSE", -1.0)
        yield came
        writer.write("end\n")
        writer.flush()
        while not came or not came[-1].endswith("end\r\n"):
            came.append(reader.readline())


def screen(text: str) -> list[str]:
    """What a terminal shows after that text: it knows what we use, up and clear from here on."""
    lines, row = [""], 0
    for piece in re.findall(r"\x1b\[\d+A|\x1b\[J|\r|\n|[^\x1b\r\n]+", text):
        if piece == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece.endswith("A") and piece[0] == "\x1b":
            row -= int(piece[2:-1])
        elif piece == "\x1b[J":
            lines[row:] = [""]
        elif piece != "\r":
            lines[row] += piece
    return lines[:-1]


def test_plain_lines_say_what_begins(capsys: pytest.CaptureFixture[str]) -> None:
    work(Progress(quiet=False))
    assert capsys.readouterr().err.splitlines() == [
        "udockpy: layer 1/2: 5 MB",
        "udockpy: layer 2/2: 1 MB",
        "udockpy: done",
    ]


def test_quiet_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as came:
        work(Progress(quiet=True))
    assert came == ["end\r\n"]


def test_a_terminal_shows_a_line_for_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as came:
        work(Progress(quiet=False))
    text = "".join(came).replace("\r\n", "\n")
    assert "2 MB of 5 MB" in text
    assert max(map(len, text.split("\n"))) < 120  # no line is longer than the screen
    assert screen(text) == ["layer 1/2: 5 MB", "layer 2/2: 1 MB", "done", "end"]
    # On the way there, too, each part has one line.
    begun = text[: text.index("2 MB of 5 MB\n")]
    assert screen(f"{begun}2 MB of 5 MB\nlayer 2/2: 1 MB\n") == [
        "layer 1/2: 2 MB of 5 MB",
        "layer 2/2: 1 MB",
    ]


def test_what_fails_leaves_no_line_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        with Progress(quiet=False) as progress:
            progress.begin("layer 1/1", "5 MB")
            raise KeyError

    with terminal(monkeypatch) as came, pytest.raises(KeyError):
        fail()
    assert screen("".join(came).replace("\r\n", "\n")) == ["end"]
