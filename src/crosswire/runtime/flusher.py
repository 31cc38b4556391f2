"""Calls ``flush`` of buffers at the end of a turn of the event loop."""

from __future__ import annotations

from typing import Protocol

from crosswire.runtime.log_records import get_logger
from crosswire.runtime.loop_thread import running_loop

LONE_READS = 16
"""Number of reads that flush what they have caused, after a turn of the event loop with one buffer to flush."""

logger = get_logger("crosswire.flusher")


class Flushable(Protocol):
    """Buffer that is flushed at the end of a turn of the event loop."""

    def flush(self) -> None:
        """Pass on everything that the buffer holds."""


class Flusher:
    """Flushes buffers at the end of the turn of the event loop in which they were filled.

    For that end the event loop takes a turn more, with a look for what has arrived. A server with little to do would
    take it for every call. So after a turn that had only one buffer to flush, the next reads are taken for the only
    ones of their turns: each flushes the answers that it has caused, see :meth:`end_read`. In a turn with many reads
    that would cost more, as a write behind another does not wake the peers again.

    Attributes:
        ending: whether the turn is at its end, and nothing has to wait for it any more.
        filled: the buffers that are flushed when this turn ends. While there are any, others may be added directly.
            Empty at the end of the turn.
        lone_reads: number of reads that are taken for the only ones of their turns; they call :meth:`begin_read` and
            :meth:`end_read`.
    """

    __slots__ = ("_flushed", "_in_read", "ending", "filled", "lone_reads")

    def __init__(self) -> None:
        self.filled: list[Flushable] = []
        self._flushed: list[Flushable] = []  # at the end of a turn
        self._in_read = False  # whether a lone read has to see to what is scheduled first
        self.ending = False
        self.lone_reads = 0

    def schedule(self, filled: Flushable) -> None:
        """Flush ``filled`` when this turn ends. A buffer that a flush fills is flushed right after it."""
        if self.ending:
            self._flushed.append(filled)
            return
        if not (self.filled or self._in_read):
            running_loop().call_soon(self._end_turn)
        self.filled.append(filled)

    def begin_read(self) -> None:
        """Begin a read that is taken for the only one of its turn."""
        self.lone_reads -= 1
        self._in_read = not self.filled

    def end_read(self, own: Flushable) -> None:
        """End such a read: flush the buffer of its own connection, unless the read has filled others too.

        Others may be filled by further reads, which were not the only ones then, so they wait for the end of the turn.
        """
        if not self._in_read:  # something waited before the read, and so the end of the turn comes anyhow
            return
        self._in_read = False
        if len(self.filled) == 1 and self.filled[0] is own:
            self._flush()
        elif self.filled:
            running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self.lone_reads = LONE_READS if len(self.filled) == 1 else 0
        self._flush()

    def _flush(self) -> None:
        self.ending = True
        self._flushed, self.filled = self.filled, []
        try:
            for filled in self._flushed:
                try:
                    filled.flush()
                except Exception:
                    logger.exception("flushing %r failed", filled)
        finally:
            self._flushed = []
            self.ending = False
