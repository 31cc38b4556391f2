"""Failures of commands, each with a text of one line and an exit code."""

from __future__ import annotations

from crosswire.errors import CrosswireError, EventError

USAGE, RUNTIME, INTERRUPTED = 2, 1, 130
"""Exit codes: the arguments are wrong; the command failed; Ctrl-C."""


class CommandFailed(Exception):
    """Failure that ends a command.

    Args:
        text: one line for people.
        exit_code: exit code of the process.
    """

    def __init__(self, text: str, exit_code: int = RUNTIME) -> None:
        super().__init__(text)
        self.text = text
        self.exit_code = exit_code


def described(error: CrosswireError) -> str:
    """Return an error as ``CODE: message``, for programs and people."""
    return str(error) if isinstance(error, EventError) else f"{error.code}: {error}"
