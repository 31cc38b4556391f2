"""The time in a turn of the event loop at which what was sent is appended to the logs of rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class AppendTimes:
    """Calls for an append at the end of a turn in which something was sent; with records, one turn later.

    A busy room has several messages on their way. Other nodes hand on a batch of records while this node still waits
    for the processor. Then it finds at once the records, and a part of the next messages, which the first clients have
    sent in answer. Appended right away, before the records reach this node's own clients, that part would be a batch of
    its own, and what these clients send in answer another one: batches would be half as large, and each client would
    get twice as many writes. So in such a turn what is sent waits for the fan-out of the records, and for the next read
    of the sockets, but never for further records.

    Attributes:
        flush: appends everything that waits; set by the owner of the queues.
    """

    __slots__ = ("_follows_fanout", "_is_due", "flush")

    def __init__(self) -> None:
        self.flush: Callable[[], None] = _append_nothing
        self._is_due = False  # whether something waits for a flush
        self._follows_fanout = False  # whether this turn has brought records, which are handed on at its end

    def schedule(self) -> None:
        """Have everything appended that waits, at the end of this turn or behind the fan-out of its records."""
        if not self._is_due:
            self._is_due = True
            if not self._follows_fanout:
                asyncio.get_running_loop().call_soon(self._end_turn)

    def records_came(self) -> None:
        """Let what is sent in this turn wait for the fan-out of records to many clients, which was begun just now."""
        if not self._follows_fanout:
            self._follows_fanout = True
            asyncio.get_running_loop().call_soon(self._end_turn_with_records)

    def _end_turn(self) -> None:
        if not self._follows_fanout:
            self._is_due = False
            self.flush()

    def _end_turn_with_records(self) -> None:
        self._follows_fanout = False
        if self._is_due:
            # Not before the next read of the sockets, and not later if that brings further records.
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_due = False
        self.flush()


def _append_nothing() -> None:
    """Append nothing, as there are no queues yet."""
