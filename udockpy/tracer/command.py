"""What the engine `ptrace-py` executes: words of the plan in, a guest under the tracer."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from typing import NamedTuple, NoReturn

from udockpy.errors import (
    EXIT_ENGINE,
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    EXIT_UDOCKPY,
    reason_of,
)
from udockpy.tracer.core import AT_FDCWD, WANT_FOLLOW, Bind, Here, View
from udockpy.tracer.loop import Tracer, Watch
from udockpy.tracer.process import Container, Process
from udockpy.util.process import PYTHON_IGNORES

DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HINTS = {
    errno.ENOENT: "no such program in the guest: check its name and PATH",
    errno.ENOTDIR: "no such program in the guest: check its name and PATH",
    errno.ENOEXEC: (
        'it is no program, a script without a "#!" line, or a program of another machine'
    ),
    errno.EACCES: "it is a directory, not executable, or on a filesystem mounted noexec",
    errno.ELOOP: "its links or interpreters lead in a circle",
}


class Words(NamedTuple):
    """The words of docs/reference/plan.md that this engine is given."""

    root: bytes
    read_only: bool
    binds: tuple[Bind, ...]
    chdir: bytes
    trace: bytes | None  # where calls are printed: a file, or - for standard error
    calls: bytes  # which ones
    environment: dict[bytes, bytes]
    command: list[bytes]


def parse(words: list[str]) -> Words:
    """Reads what udockpy.engines.ptrace_py wrote."""
    queue = [os.fsencode(word) for word in words]
    values: dict[bytes, bytes] = {}
    binds: list[Bind] = []
    environment: dict[bytes, bytes] = {}
    while (word := queue.pop(0)) != b"--":
        if word in (b"--bind", b"--ro-bind"):
            binds.append(Bind(queue.pop(0), queue.pop(0), word == b"--ro-bind"))
        elif word == b"--setenv":
            name = queue.pop(0)
            environment[name] = queue.pop(0)
        else:
            values[word] = queue.pop(0)
    return Words(
        root=values.get(b"--ro-rootfs") or values[b"--rootfs"],
        read_only=b"--ro-rootfs" in values,
        binds=tuple(binds),
        chdir=values[b"--chdir"],
        trace=values.get(b"--trace"),
        calls=values.get(b"--calls", b""),
        environment=environment,
        command=queue,
    )


def main(words: list[str]) -> NoReturn:
    """Ends as the guest's first process does."""
    plan = parse(words)
    _end_as(run(plan, _watch(plan)))


def _watch(plan: Words) -> Watch | None:
    if plan.trace is None:
        return None
    from udockpy.tracer import report

    try:
        names = report.chosen(os.fsdecode(plan.calls))
    except report.UnknownCallError as e:
        hint = "names are as in syscalls(2), separated by commas; %file is all that have a path"
        _fail(EXIT_UDOCKPY, "no such system call", os.fsencode(str(e)), "", hint)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        return report.Report(
            os.dup(2) if plan.trace == b"-" else os.open(plan.trace, flags, 0o666), names
        )
    except OSError as e:
        _fail(EXIT_UDOCKPY, "cannot write", plan.trace, reason_of(e), "")


def run(plan: Words, watch: Watch | None) -> int:
    """Returns a wait status."""
    container = Container(View(plan.root, read_only=plan.read_only, binds=plan.binds), {})
    try:
        here = Here(os.getpid(), b"")
        os.chdir(container.view.resolve(here, AT_FDCWD, plan.chdir, WANT_FOLLOW).host_path)
    except OSError as e:
        hint = "give a directory of the guest with --workdir"
        what = "cannot enter the working directory"
        _fail(EXIT_NOT_EXECUTABLE, what, plan.chdir, reason_of(e), hint)
    tracer = Tracer(watch)
    try:
        tracer.start(lambda: _execute(plan), lambda pid: Process(pid, container, b""))
    except OSError as e:
        hint = "udockpy doctor says who forbids it; Linux 5.6 is needed"
        _fail(EXIT_ENGINE, "cannot trace processes here", b"ptrace-py", reason_of(e), hint)
    return tracer.run()


def _execute(plan: Words) -> NoReturn:
    """As execvp(3). It is traced already: paths are the guest's."""
    for number in PYTHON_IGNORES:
        signal.signal(number, signal.SIG_DFL)
    name = plan.command[0]
    folders = [b""] if b"/" in name else plan.environment.get(b"PATH", DEFAULT_PATH).split(b":")
    worst = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    for folder in folders:
        try:
            os.execve(os.path.join(folder, name), plan.command, plan.environment)
        except OSError as e:
            if e.errno not in (errno.ENOENT, errno.ENOTDIR):
                worst = e
            if e.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                break
    missing = worst.errno in (errno.ENOENT, errno.ENOTDIR)
    status = EXIT_NOT_FOUND if missing else EXIT_NOT_EXECUTABLE
    _fail(status, "cannot run", name, reason_of(worst), HINTS.get(worst.errno or 0, ""))


def _fail(status: int, what: str, subject: bytes, reason: str, hint: str) -> NoReturn:
    text = f"udockpy: {': '.join(filter(None, (what, os.fsdecode(subject), reason)))}\n"
    os.write(2, os.fsencode(text + (f"hint: {hint}\n" if hint else "")))
    os._exit(status)


def _end_as(status: int) -> NoReturn:
    """Exits, or dies of a signal, as wait(2) says that a child did."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))  # one core is enough
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    sys.exit(os.WEXITSTATUS(status))
