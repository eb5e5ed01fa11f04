"""The command line: parse, call one operation, print.

click reads every command line but one kind: a well-formed `run` or `exec` goes through
cli/quick.py, from the same table of options, because importing click takes longer than all the rest
of starting a guest.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """The program udockpy."""
    from udockpy.cli import outcome

    sys.exit(outcome.of(lambda: _dispatch(sys.argv[1:])))


def fakeroot() -> NoReturn:
    """The program fakeroot: that verb under the name that build tools call."""
    from udockpy.cli import outcome

    sys.exit(outcome.of(lambda: _dispatch(["fakeroot", *sys.argv[1:]])))


def _dispatch(words: list[str]) -> int:
    from udockpy.cli import quick

    options = quick.parse(words)
    if options is not None:
        from udockpy.cli import start

        return start.start(words[0], options, os.environ)
    from udockpy.cli import group

    return group.dispatch(words)
