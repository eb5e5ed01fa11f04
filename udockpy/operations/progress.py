"""Tells the user how a long operation gets on: on a terminal a line for each part, redrawn in its
place; elsewhere a plain line when a part begins.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from udockpy.util.process import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self

PAUSE = 0.1  # seconds between drawings
UP, CLEAR = "\x1b[%dA", "\r\x1b[J"


class Progress:
    """Use as a context manager. Safe for several threads."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.drawing = not quiet and sys.stderr.isatty()
        self.active: dict[str, str] = {}  # part -> what is said of it
        self.drawn = 0  # lines on the screen that can be drawn over
        self.last = 0.0
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.active.clear()
            self._draw()

    def begin(self, part: str, text: str) -> None:
        """A part begins."""
        self._change(part, text)
        if not self.quiet and not self.drawing:
            say(f"{part}: {text}")

    def update(self, part: str, text: str) -> None:
        """A part gets on: for eyes only."""
        if self.drawing and time.monotonic() - self.last > PAUSE:
            self._change(part, text)

    def end(self, part: str, text: str) -> None:
        """A part is done; its line stays."""
        if not self.drawing:
            return
        with self.lock:
            self.active.pop(part, None)
            self._draw(f"{part}: {text}")

    def tell(self, text: str) -> None:
        """Something else to know."""
        if self.drawing:
            with self.lock:
                self._draw(text)
        elif not self.quiet:
            say(text)

    def _change(self, part: str, text: str) -> None:
        if self.drawing:
            with self.lock:
                self.active[part] = text
                self._draw()

    def _draw(self, *above: str) -> None:
        """Draws the lines that change anew, and `above` them some that stay."""
        if not self.drawing:
            return
        width = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1  # some tell none
        lines = [*above, *(f"{part}: {text}" for part, text in self.active.items())]
        back = UP % self.drawn if self.drawn else ""
        sys.stderr.write(f"{back}{CLEAR}" + "".join(f"{line[:width]}\n" for line in lines))
        sys.stderr.flush()
        self.drawn = len(self.active)
        self.last = time.monotonic()
