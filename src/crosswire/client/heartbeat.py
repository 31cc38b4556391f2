"""Detects that the server is gone, and measures the time of a message there and back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from crosswire.client.hooks import Hooks
from crosswire.runtime import environment

CHECKS_PER_TIMEOUT = 4
"""Checks whether anything moved while an echo is awaited. Silence is found a fourth of the timeout late at most."""


class HeartbeatTimer:
    """Heartbeat of a client, with at most one ping on its way, and one timer.

    Bytes that move on the connection while an echo is awaited are a sign of life: the echo may be queued behind them.

    Args:
        interval: seconds between two heartbeats, or None for none at all.
        timeout: seconds of silence to wait for the echo.
        hooks: of the client.

    Attributes:
        latency: milliseconds of the last echo of the present connection, or None.
    """

    __slots__ = (
        "_checks_left",
        "_due",
        "_give_up",
        "_hooks",
        "_interval",
        "_moved",
        "_send",
        "_sent",
        "_timeout",
        "_timer",
        "latency",
    )

    def __init__(self, interval: float | None, timeout: float, hooks: Hooks) -> None:
        self._interval = interval
        self._timeout = timeout
        self._hooks = hooks
        self._send: Callable[[], None] | None = None
        self._give_up: Callable[[], None] | None = None
        self._moved: Callable[[], bool] | None = None
        self._sent: float | None = None
        self._due = 0.0
        self._checks_left = 0
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
            self._schedule_ping()

    def start(self, send: Callable[[], None], give_up: Callable[[], None], moved: Callable[[], bool]) -> None:
        """Begin on a new connection.

        Args:
            send: sends a heartbeat.
            give_up: called once, when an echo does not come in time.
            moved: returns whether bytes moved on the connection since the heartbeat, or since its last call.
        """
        self._send = send
        self._give_up = give_up
        self._moved = moved
        self._sent = self.latency = None
        self._schedule_ping()

    def stop(self) -> None:
        """Stop when the connection is closing or gone."""
        self._cancel()
        self._send = self._give_up = self._moved = self._sent = self.latency = None

    def echoed(self) -> None:
        """Note an echo; one without a heartbeat is ignored."""
        if self._sent is None:
            return
        self.latency = latency = (environment.perf_counter() - self._sent) * 1000
        self._sent = None
        self._schedule_ping()
        self._hooks.fire(self._hooks.on_pong, latency)

    def _schedule_ping(self) -> None:
        self._cancel()
        if self._interval is not None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._ping)

    def _ping(self) -> None:
        if self._send is None:
            return
        self._sent = environment.perf_counter()
        self._await_echo(CHECKS_PER_TIMEOUT)
        self._send()
        self._hooks.fire(self._hooks.on_ping)

    def _await_echo(self, checks: int) -> None:
        """Check that many times more before giving up, unless something moves."""
        self._checks_left = checks
        loop = asyncio.get_running_loop()
        self._due = loop.time() + self._timeout / CHECKS_PER_TIMEOUT
        self._timer = loop.call_at(self._due, self._check)

    def _check(self) -> None:
        # A late timer means that something held up this process, and the echo may still wait to be read.
        held_up = asyncio.get_running_loop().time() - self._due > self._timeout / 2
        if held_up or (self._moved is not None and self._moved()):
            self._await_echo(CHECKS_PER_TIMEOUT)
        elif self._checks_left > 1:
            self._await_echo(self._checks_left - 1)
        else:
            self._missed()

    def _missed(self) -> None:
        give_up = self._give_up
        self.stop()
        self._hooks.fire(self._hooks.on_pong_timeout)
        if give_up is not None:
            give_up()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
