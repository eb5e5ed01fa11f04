"""A terminal with a program on it: types, reads until a text appears, resizes."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

SECONDS = 20.0


class Terminal:
    """A program in its own session on its own terminal. Use it as a context manager."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str]) -> None:
        self.text = b""
        self._status: int | None = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir("/")
                os.execve(argv[0], list(argv), dict(environ))
            finally:
                os._exit(99)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.fd)
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def type(self, line: str) -> None:
        os.write(self.fd, line.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self, seconds: float) -> bool:
        """Takes in what is there; False at the end of the file."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            got = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += got
        return bool(got)

    def expect(self, wanted: str, seconds: float = SECONDS) -> str:
        """Reads on until the text appears; forgets and returns everything up to its end."""
        deadline = time.monotonic() + seconds
        while wanted.encode() not in self.text:
            if time.monotonic() > deadline or not self._read(0.1):
                raise AssertionError(
                    f"{wanted!r} did not appear after: {self.text.decode(errors='replace')!r}"
                )
        before, _, self.text = self.text.partition(wanted.encode())
        return (before + wanted.encode()).decode(errors="replace")

    def wait(self, seconds: float = SECONDS) -> int:
        """The program's wait status."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
                return status
        raise AssertionError(
            f"still running after {seconds} s: {self.text.decode(errors='replace')!r}"
        )
