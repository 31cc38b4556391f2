"""Log records whose text, wherever it comes from, can't look like other lines of the log."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Generator
from types import TracebackType
from typing import Any

from crosswire.core.escaping import escaped

MAX_MESSAGE = 2000
"""Characters of the message of a record that are logged."""
MAX_EXCEPTION = 1000
"""Characters of the text of one exception that are logged."""
MAX_TRACEBACK = 32 * 1024
"""Characters of the traceback of a record that are logged: its beginning and its end."""
_MAX_LINES = 100
"""Lines of one exception, and notes, that are logged."""
_INDENT = "  "
"""Beginning of every line of a traceback, by which it differs from the first line of a record."""

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class OneLineRecords(logging.Filter):
    """Filter that passes every record, after it has made a single line of its message.

    What a client, another node or a failing handler has put into the message is escaped, and cut if it is long. So is
    the text of exceptions, notes and groups; the lines of a traceback are indented, so that no line of it can be taken
    for a record. Formatters use that text of the traceback, as they use one that another formatter has left.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Escape the message and the traceback."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - the handlers of the record report it, as logging always does
            return True
        safe = escaped(message.rstrip("\n"), MAX_MESSAGE)  # uvicorn ends some of its own with a line break
        if safe != message:
            record.msg, record.args = safe, None
        if record.exc_info and not record.exc_text:
            record.exc_text = indented_traceback(record.exc_info)
        return True


_FILTER = OneLineRecords()


def guarded_logger(name: str) -> logging.Logger:
    """Return the logger of a name, whose records are single lines from now on; one filter serves all."""
    logger = logging.getLogger(name)
    logger.addFilter(_FILTER)  # twice is once
    return logger


def indented_traceback(exc_info: ExceptionInfo) -> str:
    """Return the lines of a traceback, indented, with the text of the exceptions escaped and cut."""
    kind, error, trace = exc_info
    if kind is None or error is None:
        return f"{_INDENT}no exception"
    whole = _EscapedTraceback(kind, error, trace)
    for nested in _nested(whole):
        nested.__class__ = _EscapedTraceback  # those of causes and groups are made inside the standard library
        notes: Any = nested.__notes__
        if isinstance(notes, list):
            nested.__notes__ = [escaped(str(note), MAX_EXCEPTION) for note in notes[:_MAX_LINES]]
    lines = "".join(whole.format()).rstrip("\n").split("\n")
    text = "\n".join(_INDENT + escaped(line, MAX_TRACEBACK) for line in lines)
    if len(text) > MAX_TRACEBACK:
        half = MAX_TRACEBACK // 2
        text = f"{text[:half]}\n{_INDENT}... {len(text) - 2 * half} characters ...\n{_INDENT}{text[-half:]}"
    return text


class _EscapedTraceback(traceback.TracebackException):
    """Traceback whose exceptions have texts of one line."""

    def format_exception_only(self, **options: Any) -> Generator[str, None, None]:
        """Yield the lines of the exception and its notes."""
        for number, line in enumerate(super().format_exception_only(**options)):
            if number < _MAX_LINES:
                yield escaped(line.removesuffix("\n"), MAX_EXCEPTION) + "\n"


def _nested(whole: traceback.TracebackException) -> list[traceback.TracebackException]:
    found: list[traceback.TracebackException] = []
    left = [whole]
    while left:
        each = left.pop()
        found.append(each)
        children = [each.__cause__, each.__context__, *(each.exceptions or ())]
        left += [child for child in children if child is not None]
    return found
