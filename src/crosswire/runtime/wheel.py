"""One timer for many: a wheel of slots that turns every tenth of a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

TICK = 0.1
"""Seconds; timers fire up to this late."""

logger = logging.getLogger("crosswire.wheel")


class Timer:
    """A call that is due at some turn of the wheel."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Don't call. May be said at any time, and again."""
        self.call = None


class TimerWheel:
    """Timers that share one of the event loop's: starting one costs a list append, cancelling one less.

    Every connection has a timer running; the loop's own heap would be touched at each of their steps.
    """

    __slots__ = ("_handle", "_now", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, list[Timer]] = {}
        self._now = 0
        self._handle: asyncio.TimerHandle | None = None

    def start(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call after ``delay`` seconds, rounded up to the next tick."""
        timer = Timer(call)
        if self._handle is None:
            self._now = _present()
            self._handle = asyncio.get_running_loop().call_later(TICK, self._turn)
        due = _present() + 1 + int(delay / TICK)
        self._slots.setdefault(due, []).append(timer)
        return timer

    def stop(self) -> None:
        """Forget all timers."""
        self._slots.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _turn(self) -> None:
        # A late turn, after a busy loop, catches up with every slot it missed.
        present = _present()
        for slot in range(self._now, present + 1):
            for timer in self._slots.pop(slot, ()):
                _fire(timer)
        self._now = present + 1
        self._handle = asyncio.get_running_loop().call_later(TICK, self._turn) if self._slots else None


def _present() -> int:
    return int(time.monotonic() / TICK)


def _fire(timer: Timer) -> None:
    if timer.call is None:
        return
    try:
        timer.call()
    except Exception:
        logger.exception("a timer's call failed")
