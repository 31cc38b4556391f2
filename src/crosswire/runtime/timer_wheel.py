"""A timer wheel: many timers share one of the event loop's, in slots of a tenth of a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from math import ceil
from typing import Protocol

TICK = 0.1
"""Seconds of a slot; a timer fires up to two of these late, and never early."""

logger = logging.getLogger("crosswire.wheel")


class TimerTarget(Protocol):
    """Object with a timer on the wheel."""

    def on_timer(self) -> None:
        """Handle the end of the delay."""


class Timer:
    """Function that is called at a turn of the wheel."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Cancel the call. May be called at any time, and more than once."""
        self._call = None

    def on_timer(self) -> None:
        """Call the function, unless the timer was cancelled."""
        if self._call is not None:
            self._call()


class TimerWheel:
    """Timers that share one of the event loop's. Adding one costs a list append, and nothing while it waits.

    Every connection always has a timer; with the loop's own timers, each change would be one of its heap.
    """

    __slots__ = ("_handle", "_next", "_slots", "clock")

    def __init__(self) -> None:
        self._slots: dict[int, list[TimerTarget]] = {}
        self._next = 0
        self._handle: asyncio.TimerHandle | None = None
        self.clock = time.monotonic

    def add(self, waiting: TimerTarget, delay: float) -> None:
        """Call ``on_timer`` of ``waiting`` after ``delay`` seconds, rounded up to the next tick."""
        now = self.clock()
        present = int(now / TICK)
        if self._handle is None:
            self._next = present
            self._handle = asyncio.get_running_loop().call_later(TICK, self._turn)
        self._slots.setdefault(max(present + 1, ceil((now + delay) / TICK)), []).append(waiting)

    def start(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call a function after ``delay`` seconds, unless the returned timer is cancelled."""
        timer = Timer(call)
        self.add(timer, delay)
        return timer

    def stop(self) -> None:
        """Discard all timers that wait."""
        self._slots.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _turn(self) -> None:
        # A late turn, after a busy loop, catches up with every slot it missed.
        present = int(self.clock() / TICK)
        for slot in range(self._next, present + 1):
            for waiting in self._slots.pop(slot, ()):
                _fire(waiting)
        self._next = present + 1
        self._handle = asyncio.get_running_loop().call_later(TICK, self._turn) if self._slots else None


def _fire(waiting: TimerTarget) -> None:
    try:
        waiting.on_timer()
    except (Exception, asyncio.CancelledError):  # the other timers must fire all the same
        logger.exception("the timer of %r failed", waiting)
