"""Stream of a simulated TCP connection, in one direction: late perhaps, but complete and in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context

_STEP = 1e-7
"""Seconds between two arrivals on one stream."""


class SimulatedStream:
    """Carries what is sent to the other end, after a delay. While the ends can't hear each other it waits.

    Args:
        delay: returns the seconds that the next piece takes.
        is_blocked: returns whether nothing gets through.
        context: of the receiver.
    """

    def __init__(self, delay: Callable[[], float], is_blocked: Callable[[], bool], context: Context | None) -> None:
        self._delay = delay
        self._is_blocked = is_blocked
        self._context = context
        self._pieces: deque[tuple[float, Callable[[], None]]] = deque()
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def send(self, arrive: Callable[[], None]) -> None:
        """Call ``arrive`` at the other end when what was sent before has arrived."""
        loop = asyncio.get_running_loop()
        self._last = max(loop.time() + self._delay(), self._last + _STEP)
        self._pieces.append((self._last, arrive))
        self.go_on()

    def go_on(self) -> None:
        """Carry what waits, if it gets through."""
        if self._timer is None and self._pieces and not self._is_blocked():
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._pieces[0][0], self._arrive, context=self._context)

    def cut(self) -> None:
        """Discard what is on its way."""
        self._pieces.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arrive(self) -> None:
        self._timer = None
        if not self._is_blocked():
            self._pieces.popleft()[1]()
            self.go_on()
