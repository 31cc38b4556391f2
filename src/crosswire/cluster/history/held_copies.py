"""Copies of messages that come from a log too, most likely: they are delivered only where they do not."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from crosswire.core.envelopes import LogPlace
from crosswire.core.formats import EncodedMessage
from crosswire.core.targets import Excluded, ToRoom
from crosswire.runtime import environment

MAX_HELD_BYTES = 16 * 1024 * 1024
"""Bytes of the copies that one node holds; beyond it, the oldest are looked at before their time."""
COPY_OVERHEAD = 300
"""Bytes that a copy takes beside its message."""
MIN_HOLD_TIME = 1.0
"""Seconds for which a copy is held at least."""


class Copy(NamedTuple):
    """A message that came over the bus, and most likely comes from the log of its room too.

    Attributes:
        room: where it was sent.
        message: as clients get it, without a position.
        excluded: users and sockets that don't get it.
        place: in the order of its sender's messages.
        due: time of the monotonic clock, in seconds, at which it is looked at.
    """

    room: ToRoom
    message: EncodedMessage
    excluded: Excluded | None
    place: LogPlace
    due: float


class HeldCopies:
    """Copies that are held until the log has had time to bring the same messages.

    Args:
        hold_time: returns the seconds in which a message may still come over another path.
        look_at: called with each copy when its time has come.
    """

    __slots__ = ("_bytes", "_copies", "_hold_time", "_look_at", "_timer")

    def __init__(self, hold_time: Callable[[], float], look_at: Callable[[Copy], None]) -> None:
        self._hold_time = hold_time
        self._look_at = look_at
        self._copies: deque[Copy] = deque()
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._copies)

    def hold(self, room: ToRoom, message: EncodedMessage, excluded: Excluded | None, place: LogPlace) -> None:
        """Hold a copy for a while."""
        due = environment.monotonic() + max(self._hold_time(), MIN_HOLD_TIME)
        self._copies.append(Copy(room, message, excluded, place, due))
        self._bytes += len(message.json) + COPY_OVERHEAD
        while self._bytes > MAX_HELD_BYTES:
            self._release()
        self._set_timer()

    def close(self) -> None:
        """Drop all copies, as the node stops."""
        self._copies.clear()
        self._bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _release(self) -> None:
        copy = self._copies.popleft()
        self._bytes -= len(copy.message.json) + COPY_OVERHEAD
        self._look_at(copy)

    def _set_timer(self) -> None:
        if self._timer is None and self._copies:
            delay = max(0.0, self._copies[0].due - environment.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = environment.monotonic()
        while self._copies and self._copies[0].due <= now:
            self._release()
        self._set_timer()
