"""One timer for many: a wheel of slots that turns every tenth of a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from math import ceil
from typing import Protocol

TICK = 0.1
"""Seconds; what is due comes up to two of these late, and never early."""

logger = logging.getLogger("crosswire.wheel")


class Due(Protocol):
    """Something that waits on the wheel."""

    def due(self) -> None:
        """Its time has come."""


class Timer:
    """A call that is due at some turn of the wheel."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Don't call. May be said at any time, and again."""
        self._call = None

    def due(self) -> None:
        """Call, unless cancelled."""
        if self._call is not None:
            self._call()


class TimerWheel:
    """Timers that share one of the event loop's: adding one costs a list append, and nothing while it waits.

    Every connection has a timer running; the loop's own heap would be touched at each of their steps.
    """

    __slots__ = ("_handle", "_next", "_slots", "clock")

    def __init__(self) -> None:
        self._slots: dict[int, list[Due]] = {}
        self._next = 0
        self._handle: asyncio.TimerHandle | None = None
        self.clock = time.monotonic

    def add(self, waiting: Due, delay: float) -> None:
        """Let ``waiting`` be due after ``delay`` seconds, rounded up to the next tick."""
        now = self.clock()
        present = int(now / TICK)
        if self._handle is None:
            self._next = present
            self._handle = asyncio.get_running_loop().call_later(TICK, self._turn)
        self._slots.setdefault(max(present + 1, ceil((now + delay) / TICK)), []).append(waiting)

    def start(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call after ``delay`` seconds, unless the timer that is returned is cancelled."""
        timer = Timer(call)
        self.add(timer, delay)
        return timer

    def stop(self) -> None:
        """Forget all that waits."""
        self._slots.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _turn(self) -> None:
        # A late turn, after a busy loop, catches up with every slot it missed.
        present = int(self.clock() / TICK)
        for slot in range(self._next, present + 1):
            for waiting in self._slots.pop(slot, ()):
                _tell(waiting)
        self._next = present + 1
        self._handle = asyncio.get_running_loop().call_later(TICK, self._turn) if self._slots else None


def _tell(waiting: Due) -> None:
    try:
        waiting.due()
    except (Exception, asyncio.CancelledError):  # nothing may keep the wheel from turning on
        logger.exception("what %r does when its time has come failed", waiting)
