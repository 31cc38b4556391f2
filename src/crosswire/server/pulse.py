"""Finds out whether the peer of a connection is still there, and how far away."""

from __future__ import annotations

from collections.abc import Callable

from crosswire.runtime.wheel import Timer, TimerWheel
from crosswire.transport.interface import Connection
from crosswire.types import Close, CloseCode, Heartbeat


class Pulse:
    """The protocol pings of one connection.

    A ping every ``interval``. If within ``timeout`` after it neither the pong nor anything else arrives, the peer is
    taken for dead and the connection is dropped.

    Attributes:
        heard: set when anything arrives; a peer that talks is alive even while its pong is stuck behind its data.
        latency: milliseconds from the last answered ping to its pong, or None before the first.
    """

    __slots__ = ("_clock", "_connection", "_heartbeat", "_sent", "_timer", "_wheel", "heard", "latency")

    def __init__(
        self, connection: Connection, heartbeat: Heartbeat, wheel: TimerWheel, clock: Callable[[], float]
    ) -> None:
        self._connection = connection
        self._heartbeat = heartbeat
        self._wheel = wheel
        self._clock = clock
        self._sent = 0.0
        self.heard = False
        self.latency: float | None = None
        self._timer: Timer = wheel.start(heartbeat.interval, self._ping)

    def pong(self, payload: bytes) -> None:
        """Take a pong; one that answers no ping of ours only shows life."""
        self.heard = True
        now = self._clock()
        if self._sent and payload == _stamp(self._sent):
            self.latency = (now - self._sent) * 1000
            self._again(max(self._sent + self._heartbeat.interval - now, 0))
            self._sent = 0.0

    def stop(self) -> None:
        """Ping no more."""
        self._timer.cancel()

    def _ping(self) -> None:
        self.heard = False
        self._sent = self._clock()
        self._connection.ping(_stamp(self._sent))
        self._timer = self._wheel.start(self._heartbeat.timeout, self._check)

    def _check(self) -> None:
        if self.heard:
            self._again(max(self._heartbeat.interval - self._heartbeat.timeout, 0))
        else:
            text = f"no sign of life within {self._heartbeat.timeout} s after a ping"
            self._connection.abort(Close(CloseCode.ABNORMAL, text))

    def _again(self, delay: float) -> None:
        self._timer.cancel()
        self._timer = self._wheel.start(delay, self._ping)


def _stamp(sent: float) -> bytes:
    return b"%d" % int(sent * 1_000_000)
