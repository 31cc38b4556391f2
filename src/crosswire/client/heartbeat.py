"""Finds out that the server is gone, and how long a message to it and back takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter

from crosswire.client.hooks import Hooks


class Heartbeat:
    """The heartbeat of a client: at most one is on its way, and one timer serves both pauses and waits.

    Args:
        interval: seconds between two heartbeats, or None for none at all.
        timeout: seconds to wait for the echo.
        hooks: told of every heartbeat, its echo, or the lack of it.

    Attributes:
        latency: milliseconds of the last echo of the present connection, or None.
    """

    __slots__ = ("_due", "_give_up", "_hooks", "_interval", "_send", "_sent", "_timeout", "_timer", "latency")

    def __init__(self, interval: float | None, timeout: float, hooks: Hooks) -> None:
        self._interval = interval
        self._timeout = timeout
        self._hooks = hooks
        self._send: Callable[[], None] | None = None
        self._give_up: Callable[[], None] | None = None
        self._sent: float | None = None
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.latency: float | None = None

    @property
    def interval(self) -> float | None:
        """Seconds between two heartbeats; a new value counts from now."""
        return self._interval

    @interval.setter
    def interval(self, seconds: float | None) -> None:
        self._interval = seconds
        if self._send is not None and self._sent is None:
            self._rest()

    def start(self, send: Callable[[], None], give_up: Callable[[], None]) -> None:
        """Begin on a new connection; ``give_up`` is called, once, when an echo does not come in time."""
        self._send = send
        self._give_up = give_up
        self._sent = self.latency = None
        self._rest()

    def stop(self) -> None:
        """End: the connection is closing or gone."""
        self._cancel()
        self._send = self._give_up = self._sent = self.latency = None

    def echoed(self) -> None:
        """Take an echo; one that nothing was sent for is ignored."""
        if self._sent is None:
            return
        self.latency = latency = (perf_counter() - self._sent) * 1000
        self._sent = None
        self._rest()
        self._hooks.fire(self._hooks.on_pong, latency)

    def _rest(self) -> None:
        self._cancel()
        if self._interval is not None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._beat)

    def _beat(self) -> None:
        if self._send is None:
            return
        self._sent = perf_counter()
        self._wait(self._timeout)
        self._send()
        self._hooks.fire(self._hooks.on_ping)

    def _wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + seconds
        self._timer = loop.call_later(seconds, self._missed)

    def _missed(self) -> None:
        # A timer that comes late was held up by something in this process, behind which the echo may wait to be read.
        if asyncio.get_running_loop().time() - self._due > self._timeout / 2:
            self._wait(self._timeout)
            return
        give_up = self._give_up
        self.stop()
        self._hooks.fire(self._hooks.on_pong_timeout)
        if give_up is not None:
            give_up()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
