"""Calls ``flush`` of buffers at the end of a turn of the event loop."""

from __future__ import annotations

from typing import Protocol

from crosswire.runtime.log_records import get_logger
from crosswire.runtime.loop_thread import running_loop

logger = get_logger("crosswire.flusher")


class Flushable(Protocol):
    """Buffer that is flushed at the end of a turn of the event loop."""

    def flush(self) -> None:
        """Pass on everything that the buffer holds."""


class Flusher:
    """Flushes buffers at the end of the turn of the event loop in which they were filled.

    Attributes:
        ending: whether the turn is at its end, and nothing has to wait for it any more.
    """

    __slots__ = ("_filled", "ending")

    def __init__(self) -> None:
        self._filled: list[Flushable] = []
        self.ending = False

    def schedule(self, filled: Flushable) -> None:
        """Flush ``filled`` when this turn ends. A buffer that a flush fills is flushed right after it."""
        if not self._filled:
            running_loop().call_soon(self._flush)
        self._filled.append(filled)

    def _flush(self) -> None:
        self.ending = True
        try:
            for filled in self._filled:
                try:
                    filled.flush()
                except Exception:
                    logger.exception("flushing %r failed", filled)
        finally:
            self._filled = []
            self.ending = False
