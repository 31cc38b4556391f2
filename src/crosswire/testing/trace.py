"""The record of what happened in a simulation, line by line."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable

MAX_LINES = 200_000
"""Lines that a trace keeps; the oldest are dropped."""
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
"""Place of an object in memory, as in ``<Future at 0x7f5e3c1d>``: another one in each process."""


class Trace:
    """Lines of a simulation, each with its time: the same seed gives the same, letter for letter.

    Args:
        clock: returns the seconds since the beginning.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lines: deque[tuple[str, bool]] = deque(maxlen=MAX_LINES)
        self._ended = False

    def __str__(self) -> str:
        return "\n".join(self.lines)

    @property
    def lines(self) -> list[str]:
        """All lines, in the order in which they happened."""
        return [line for line, _ in self._lines]

    def add(self, text: str, *, routine: bool = False) -> None:
        """Add a line.

        Args:
            text: what happened.
            routine: whether it happens all the time, such as a beat, and is left out by :meth:`tail`.
        """
        if not self._ended:
            self._lines.append((f"{self._clock():11.6f}  {text}", routine))

    def end(self) -> None:
        """Add nothing more: what follows is the cleanup."""
        self._ended = True

    def tail(self, count: int = 40) -> str:
        """Return the last lines, without the routine ones."""
        notable = [line for line, routine in self._lines if not routine]
        left_out = [f"... {len(notable) - count} lines before these"] if len(notable) > count else []
        return "\n".join([*left_out, *notable[-count:]])


class TraceHandler(logging.Handler):
    """Handler that adds log records of level WARNING and above to a trace."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(logging.WARNING)
        self._trace = trace

    def emit(self, record: logging.LogRecord) -> None:
        """Add a record; of an exception, its type and text."""
        error = record.exc_info[1] if record.exc_info else None
        cause = "" if error is None else f" ({type(error).__name__}: {error})"
        text = _ADDRESS.sub("0x...", f"{record.getMessage()}{cause}")
        self._trace.add(f"log {record.levelname} {record.name}: {text}")
