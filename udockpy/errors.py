"""What can go wrong, one class per cause, each with its exit status.

An error says what failed, on what, why, and what the user can do: `udockpy: WHAT: OBJECT: REASON`
and `hint: DO`.
"""

from __future__ import annotations

EXIT_ENGINE = 123
EXIT_UDOCKPY = 125
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127


class Error(Exception):
    """A failure that the user is told about without a traceback."""

    exit_code = EXIT_UDOCKPY

    def __init__(self, what: str, subject: str = "", reason: str = "", *, hint: str = "") -> None:
        super().__init__(": ".join(part for part in (what, subject, reason) if part))
        self.what = what
        self.subject = subject
        self.reason = reason
        self.hint = hint


class UsageError(Error):
    """The command line or a configuration value cannot be understood."""


class StateError(Error):
    """The state directory, or a file of the user's, cannot be used."""


class TargetError(Error):
    """The sandbox, container or image does not exist or is no such thing."""


class BusyError(Error):
    """Something is in use, or its name is taken."""


class ArchiveError(Error):
    """An archive is damaged, or would write outside its destination."""


class ImageError(Error):
    """An image is damaged, is not what its digest says, or is of a kind that cannot be used."""


class BuildError(Error):
    """A definition file or a Dockerfile is wrong, or one of its steps failed."""


class RegistryError(Error):
    """A registry cannot be reached, refuses, or answers nonsense."""


class BindError(Error):
    """A bind is malformed, or its source is missing."""


class UserError(Error):
    """A user or group is unknown to the guest."""


class HelperError(Error):
    """A native helper is missing or damaged."""


class EngineError(Error):
    """No engine can do this run on this node with this guest."""

    exit_code = EXIT_ENGINE


class NotExecutableError(Error):
    """The guest's program cannot be invoked."""

    exit_code = EXIT_NOT_EXECUTABLE


class NotFoundError(Error):
    """The guest has no such program, or not its interpreter."""

    exit_code = EXIT_NOT_FOUND


def reason_of(error: OSError) -> str:
    """Why the system refused, in words."""
    return error.strerror or str(error)
