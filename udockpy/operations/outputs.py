"""What a command writes: to standard output, or to a file that appears when it is whole."""

from __future__ import annotations

import errno
import os
import sys

from udockpy.errors import BusyError, StateError, UsageError, reason_of
from udockpy.util import atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write(what: str, output: str, fill: Callable[[IO[bytes]], None]) -> None:
    """Lets `fill` write to the file `output`, which must be new ("-": standard output)."""
    if output == "-":
        if sys.stdout.isatty():
            raise UsageError(
                what, "-", "standard output is a terminal", hint="use -o FILE or a pipe"
            )
        fill(sys.stdout.buffer)
        return
    if os.path.exists(output):
        raise BusyError(what, output, "the file exists", hint="remove it, or choose another name")
    scratch = atomic.scratch_name(os.path.abspath(output))
    try:
        with open(scratch, "xb") as file:
            fill(file)
        os.rename(scratch, output)
    except BaseException as e:
        if os.path.exists(scratch):
            os.unlink(scratch)
        if isinstance(e, OSError) and e.errno in FULL:
            raise StateError(what, output, reason_of(e), hint="choose another place") from e
        raise
