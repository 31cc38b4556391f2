"""How a connection that is gone is taken leave of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from crosswire.runtime.wheel import TimerWheel
from crosswire.server.socket import Socket
from crosswire.server.work import Work

logger = logging.getLogger("crosswire.server")


class Departure:
    """Waits for the handlers of a connection that is gone, so that ``on_disconnect`` comes after them.

    Those that are still at work after ``Limits.linger`` are cancelled. After as long again they are waited for no more.

    Args:
        socket: of the connection.
        work: its handlers.
        wheel: for the time they have.
        linger: seconds, twice.
        departing: the departures of the server; this one is in it until it has ended.
        give_up: forgets what the connection sent and no handler has begun with.
        tell: calls ``on_disconnect``; called once.
    """

    __slots__ = ("_departing", "_give_up", "_linger", "_socket", "_tell", "_timer", "_wheel", "_work")

    def __init__(
        self,
        socket: Socket,
        work: Work,
        wheel: TimerWheel,
        linger: float,
        departing: set[Departure],
        give_up: Callable[[], None],
        tell: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._work = work
        self._wheel = wheel
        self._linger = linger
        self._departing = departing
        self._give_up = give_up
        self._tell: Callable[[], None] | None = tell
        self._timer = wheel.start(linger, self._overdue)
        departing.add(self)

    def _overdue(self) -> None:
        logger.warning("%d handlers of %r were still at work and are cancelled", self._work.running, self._socket)
        self.hurry()

    def settle(self) -> None:
        """All that came has been begun with: wait for what is at work."""
        if self._work.running:
            self._work.when_one_ends(self.settle)
        else:
            self.end()

    def hurry(self, besides: asyncio.Task[Any] | None = None) -> None:
        """Cancel what is at work, but for the task ``besides``, and wait a while longer for it to clean up."""
        self._timer.cancel()
        self._timer = self._wheel.start(self._linger, self.end)
        self._work.cancel(besides)
        self._give_up()

    def end(self, besides: asyncio.Task[Any] | None = None) -> None:
        """Tell ``on_disconnect``, if it has not been told; not while the task ``besides`` is at work."""
        if self._work.has(besides):
            return
        tell, self._tell = self._tell, None
        if tell is not None:
            self._timer.cancel()
            self._departing.discard(self)
            tell()
