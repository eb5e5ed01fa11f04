"""How a command ends: its exit status, and what it says when it failed. The one place that turns
errors into both.
"""

from __future__ import annotations

import errno
import os
import sys

from udockpy.errors import EXIT_UDOCKPY, Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

HINTS = {
    errno.ENOSPC: "free some space, or set UDOCKPY_HOME to another filesystem",
    errno.EDQUOT: "your quota is used up; set UDOCKPY_HOME to another filesystem",
    errno.EROFS: "set UDOCKPY_HOME to a directory you can write to",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
}


def of(command: Callable[[], int]) -> int:
    """Runs a command and returns its exit status."""
    try:
        status = command()
        sys.stdout.flush()
        return status
    except Error as e:
        return _fail(str(e), e.hint, e.exit_code)
    except BrokenPipeError:
        # Who read us has enough. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_UDOCKPY
    except OSError as e:
        reason = e.strerror or str(e)
        where = f"{os.fsdecode(e.filename)}: " if isinstance(e.filename, (str, bytes)) else ""
        return _fail(f"{where}{reason}", HINTS.get(e.errno or 0, ""), EXIT_UDOCKPY)
    except KeyboardInterrupt:
        return 130


def _fail(text: str, hint: str, status: int) -> int:
    sys.stdout.flush()
    print(f"udockpy: {text}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    return status
