"""Drops connections whose peers read too slowly, even though little waits for them."""

from __future__ import annotations

from typing import Protocol

from crosswire.runtime import environment
from crosswire.runtime.timer_wheel import Slot, TimerWheel

MIN_RATE = 1024
"""Bytes a second that a peer takes at least while something waits for it."""
_CHECKS = 4
"""Number of checks in the time that a peer has."""


class WaitingBytes(Protocol):
    """Bytes that wait for one connection."""

    @property
    def behind(self) -> bool:
        """Whether bytes wait for the peer."""
        ...

    @property
    def taken(self) -> int:
        """Bytes that the peer has taken so far, from any beginning."""
        ...

    def drop_slow_reader(self) -> None:
        """Drop the connection: its peer reads too slowly."""


class SlowReaders:
    """Makes the timers for connections that are behind, on one wheel.

    Args:
        time: seconds; over it, a connection is dropped that has bytes waiting and has taken fewer than ``MIN_RATE``
            for each of these seconds.
    """

    __slots__ = ("time", "wheel")

    def __init__(self, time: float) -> None:
        self.time = time
        self.wheel = TimerWheel()

    def watch(self, waiting: WaitingBytes) -> SlowReaderTimer:
        """Return a timer that runs as long as bytes wait, unless it is stopped."""
        return SlowReaderTimer(self, waiting)


class SlowReaderTimer:
    """Checks one connection while bytes wait for it."""

    __slots__ = ("_readers", "_seen_at", "_seen_taken", "_slot", "_waiting")

    def __init__(self, readers: SlowReaders, waiting: WaitingBytes) -> None:
        self._readers = readers
        self._waiting = waiting
        self._slot: Slot | None = None
        self.start()

    def start(self) -> None:
        """Begin to check, unless that has begun."""
        if self._slot is None:
            self._note_progress(self._waiting.taken)
            self._wait()

    def stop(self) -> None:
        """Check the connection no more."""
        if self._slot is not None:
            self._slot.pop(self, None)
            self._slot = None

    def on_timer(self) -> None:
        """Check the connection, and drop it if it has taken too little."""
        self._slot = None
        waiting, readers = self._waiting, self._readers
        if not waiting.behind:
            return
        taken = waiting.taken
        if taken - self._seen_taken >= MIN_RATE * readers.time:
            self._note_progress(taken)
        elif environment.monotonic() - self._seen_at >= readers.time:
            waiting.drop_slow_reader()
            return
        self._wait()

    def _note_progress(self, taken: int) -> None:
        self._seen_taken = taken
        self._seen_at = environment.monotonic()

    def _wait(self) -> None:
        readers = self._readers
        self._slot = readers.wheel.add(self, readers.time / _CHECKS)
