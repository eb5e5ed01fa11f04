"""Starts guests: the only place that does. Status, signals, streams and the terminal pass through
unchanged.
"""

from __future__ import annotations

import os
import signal

from udockpy.errors import HelperError, reason_of
from udockpy.native import HINT
from udockpy.util.process import FORWARDED, PYTHON_IGNORES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from udockpy.engines.interface import Launch


def execute(launch: Launch) -> NoReturn:
    """Becomes the guest: nothing of ours stays between it and who started it."""
    for number in PYTHON_IGNORES:
        signal.signal(number, signal.SIG_DFL)
    for fd in launch.fds:
        os.set_inheritable(fd, True)
    try:
        os.execve(launch.argv[0], launch.argv, dict(launch.environ))
    except OSError as e:
        raise _cannot_start(launch, e) from e


def execute_and_wait(launch: Launch) -> int:
    """Runs the guest as a child and returns its exit status (128+n for death by signal n)."""
    waited = {*FORWARDED, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    for fd in launch.fds:
        os.set_inheritable(fd, True)
    try:
        pid = os.posix_spawn(
            launch.argv[0],
            launch.argv,
            dict(launch.environ),
            setsigmask=before,
            setsigdef=PYTHON_IGNORES,
        )
    except OSError as e:
        raise _cannot_start(launch, e) from e
    try:
        return _wait(pid, waited)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(pid: int, waited: set[signal.Signals]) -> int:
    while True:
        received = signal.sigwaitinfo(waited)
        if received.si_signo != signal.SIGCHLD:
            # What the kernel sends (si_code > 0) came from the terminal, and the guest in the same
            # process group has it already.
            if received.si_code <= 0:
                os.kill(pid, received.si_signo)
            continue
        status = _reap(pid)
        if status is not None:
            return status


def _reap(pid: int) -> int | None:
    """The exit status of the guest, None while it lives; when it stops so do we, for the shell that
    watches us.
    """
    while True:
        reaped, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if not reaped:
            return None
        if os.WIFSTOPPED(status):
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)  # somebody continued us
            continue
        return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _cannot_start(launch: Launch, error: OSError) -> HelperError:
    return HelperError("cannot run a helper", launch.argv[0], reason_of(error), hint=HINT)
