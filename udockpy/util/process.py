"""Starting processes of our own (not guests: those start in engines/execute.py)."""

from __future__ import annotations

import os
import signal
import sys

from udockpy.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Python ignores these from its start, and ignored signals would be inherited.
PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)
# Everything that somebody may send to the process he started. Stops by the terminal reach the guest
# by themselves.
FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGCONT,
    signal.SIGWINCH,
)


def capture(argv: Sequence[str], *, environ: Mapping[str, str]) -> tuple[int, bytes]:
    """Runs a program without input; returns its wait status and its output. posix_spawn, as it must
    be quick.
    """
    reader, writer = os.pipe()
    try:
        null = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        quiet = (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)
        pid = os.posix_spawn(
            argv[0],
            list(argv),
            dict(environ),
            file_actions=[null, (os.POSIX_SPAWN_DUP2, writer, 1), quiet],
            setsigdef=PYTHON_IGNORES,
        )
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        output = pipe.read()
    return os.waitpid(pid, 0)[1], output


def which(name: str) -> str | None:
    """The path of a program of the host, or None. Administrators' programs need not be on PATH."""
    import shutil

    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")


def find_program(name: str, *, package: str) -> str:
    """The path of a program of the host, which is in a Debian package of that name."""
    path = which(name)
    if path is None:
        raise Error(
            "cannot find a program", name, "not installed", hint=f"install the package {package}"
        )
    return path


def say(text: str) -> None:
    """Tells the user something beside the output of his program."""
    print(f"udockpy: {text}", file=sys.stderr, flush=True)
