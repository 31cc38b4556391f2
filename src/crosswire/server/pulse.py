"""Finds out whether the peer of a connection is still there, and how far away."""

from __future__ import annotations

from crosswire.runtime.wheel import TICK, TimerWheel
from crosswire.transport.interface import Connection
from crosswire.types import Close, CloseCode, Heartbeat


class Pulse:
    """The protocol pings of one connection.

    A ping every ``interval``. If within ``timeout`` after one neither the pong nor anything else arrives, the peer is
    taken for dead and the connection is dropped, a turn of the wheel later: where this process stood still, the pong
    has come in time but is yet to be read.

    Attributes:
        heard: set when anything arrives; a peer that talks is alive even while its pong is stuck behind its data.
        latency: milliseconds from the last answered ping to its pong, or None before the first.
    """

    __slots__ = ("_asked", "_connection", "_heartbeat", "_overdue", "_pinged", "_wheel", "heard", "latency")

    def __init__(self, connection: Connection, heartbeat: Heartbeat, wheel: TimerWheel) -> None:
        self._connection: Connection | None = connection
        self._heartbeat = heartbeat
        self._wheel = wheel
        self._pinged = wheel.clock()
        self._asked: float | None = None  # when the first ping was sent that nothing was heard since
        self._overdue = False  # whether what has arrived is read for the last time
        self.heard = False
        self.latency: float | None = None
        wheel.add(self, heartbeat.interval)

    def pong(self, payload: bytes) -> None:
        """Take a pong; one that answers no ping of ours only shows life."""
        self.heard = True
        if payload == _stamp(self._pinged):
            self.latency = (self._wheel.clock() - self._pinged) * 1000

    def stop(self) -> None:
        """Ping no more."""
        self._connection = None

    def due(self) -> None:
        """Look after the peer; called by the wheel."""
        if self._connection is None:
            return
        now = self._wheel.clock()
        if self.heard:
            self._asked = None
            self._overdue = False
        if self._asked is not None and now >= self._asked + self._heartbeat.timeout:
            self._timed_out(self._connection)
            return
        if now >= self._pinged + self._heartbeat.interval - TICK:
            self._ping(self._connection, now)
        self._wheel.add(self, self._next(now))

    def _timed_out(self, connection: Connection) -> None:
        if self._overdue:
            text = f"no sign of life within {self._heartbeat.timeout} s after a ping"
            connection.abort(Close(CloseCode.ABNORMAL, text))
            return
        self._overdue = True
        self._wheel.add(self, 0)

    def _ping(self, connection: Connection, now: float) -> None:
        self.heard = False
        self._pinged = now
        if self._asked is None:
            self._asked = now
        connection.ping(_stamp(now))

    def _next(self, now: float) -> float:
        ping = self._pinged + self._heartbeat.interval
        return (ping if self._asked is None else min(ping, self._asked + self._heartbeat.timeout)) - now


def _stamp(sent: float) -> bytes:
    return b"%d" % int(sent * 1_000_000)
