"""A timer wheel: many timers share one of the event loop's, in slots of a tenth of a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from math import inf
from typing import Protocol

from crosswire.core.options import MAX_SECONDS
from crosswire.runtime import environment
from crosswire.runtime.log_records import get_logger

TICK = 0.1
"""Seconds of a slot; a timer fires up to two of these late, and never early."""

logger = get_logger("crosswire.wheel")


class TimerTarget(Protocol):
    """Object with a timer on the wheel."""

    def on_timer(self) -> None:
        """Handle the end of the delay."""


Slot = dict[TimerTarget, None]
"""The targets of one tick. A target is removed by ``slot.pop(target, None)``, at any time, and more than once."""


class Timer:
    """Function that is called at a turn of the wheel."""

    __slots__ = ("_call", "_slot")

    def __init__(self, call: Callable[[], None], wheel: TimerWheel, delay: float) -> None:
        self._call: Callable[[], None] | None = call
        self._slot = wheel.add(self, delay)

    def cancel(self) -> None:
        """Cancel the call. May be called at any time, and more than once."""
        self._call = None
        self._slot.pop(self, None)

    def on_timer(self) -> None:
        """Call the function, unless the timer was cancelled."""
        if self._call is not None:
            self._call()


class TimerWheel:
    """Timers that share one of the event loop's. Adding or removing one touches no other, however many there are.

    Every connection always has a timer, and so has every call. Each of the event loop's own timers would be a change of
    a large heap.
    """

    __slots__ = ("_context", "_handle", "_next", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, Slot] = {}
        self._next = 0
        self._handle: asyncio.TimerHandle | None = None
        self._context: Context | None = None  # one for all turns, not that of whoever adds the first timer after a rest

    def add(self, target: TimerTarget, delay: float) -> Slot:
        """Call ``on_timer`` of a target after ``delay`` seconds, rounded up to the next tick; return its slot."""
        now = environment.monotonic()
        if self._handle is None:
            self._next = int(now / TICK)
            self._handle = self._turn_later()
        number = int((now + delay) / TICK) + 1
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = {}
        slot[target] = None
        return slot

    def add_shared(self, target: TimerTarget, delay: float) -> tuple[Slot, float]:
        """Do the same as :meth:`add` with a target that stands for several delays of one length.

        Args:
            target: as for :meth:`add`.
            delay: seconds; more than a century never ends.

        Returns:
            Its slot, and the time of the monotonic clock until which another such delay may begin, to end at that tick.
        """
        if delay > MAX_SECONDS:
            return {}, inf
        now = environment.monotonic()
        slot = self.add(target, delay)
        return slot, (int((now + delay) / TICK) + 1) * TICK - delay

    def start(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call a function after ``delay`` seconds, unless the returned timer is cancelled."""
        return Timer(call, self, delay)

    def stop(self) -> None:
        """Discard all timers that wait."""
        self._slots.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _turn(self) -> None:
        # A late turn, after a busy loop, catches up with every slot it missed.
        present = int(environment.monotonic() / TICK)
        for number in range(self._next, present + 1):
            slot = self._slots.pop(number, None)
            if slot:
                targets = tuple(slot)
                slot.clear()  # a timer may keep the slot
                for target in targets:
                    _fire(target)
        self._next = present + 1
        self._handle = self._turn_later() if self._slots else None

    def _turn_later(self) -> asyncio.TimerHandle:
        if self._context is None:
            self._context = copy_context()
        return asyncio.get_running_loop().call_later(TICK, self._turn, context=self._context)


def _fire(target: TimerTarget) -> None:
    try:
        target.on_timer()
    except (Exception, asyncio.CancelledError):  # the other timers must fire all the same
        logger.exception("the timer of %r failed", target)
