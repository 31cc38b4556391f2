"""What ends a command, said in one line."""

from __future__ import annotations

from crosswire.errors import CrosswireError, EventError

USAGE, RUNTIME, INTERRUPTED = 2, 1, 130
"""Exit codes: the command can't work as it was given; it failed; Ctrl-C."""


class CommandFailed(Exception):
    """A command ends with an exit code.

    Args:
        text: one line for a person.
        exit_code: of the process.
    """

    def __init__(self, text: str, exit_code: int = RUNTIME) -> None:
        super().__init__(text)
        self.text = text
        self.exit_code = exit_code


def described(error: CrosswireError) -> str:
    """An error as ``CODE: message``, for programs and people."""
    return str(error) if isinstance(error, EventError) else f"{error.code}: {error}"
