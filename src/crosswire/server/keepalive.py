"""Finds out whether the peer of a connection is still there, and how far away."""

from __future__ import annotations

import asyncio
from math import inf

from crosswire.core.limits import Heartbeat
from crosswire.runtime.timer_wheel import TICK, TimerWheel
from crosswire.transport.interface import Connection, Traffic
from crosswire.types import Close, CloseCode

_BACKLOG = 16 * 1024
"""Bytes in front of a Ping from which on it may take long to leave, and what leaves is looked after."""
_LOOKS = 8
"""How often within a timeout."""


class Keepalive:
    """The protocol pings of one connection.

    A ping every ``interval``. If within ``timeout`` after one neither the pong nor anything else arrives, the peer is
    taken for dead and the connection is dropped, a turn of the wheel later: where this process stood still, the pong
    has come in time but is yet to be read.

    A pong is behind what the peer is sending, and a ping behind what it is being sent. So every byte that arrives is
    a sign of life, and so is every byte that leaves while the ping waits for it.

    Attributes:
        paused: set while nothing is read of the peer, which therefore has no way to show life.
        heard: set when anything arrives; a peer that talks is alive even while its pong is stuck behind its data.
        latency: milliseconds from the last answered ping to its pong, or None before the first.
    """

    __slots__ = (
        "_asked",
        "_connection",
        "_heartbeat",
        "_overdue",
        "_pinged",
        "_probe",
        "_traffic",
        "_wheel",
        "heard",
        "latency",
        "paused",
    )

    def __init__(self, connection: Connection, heartbeat: Heartbeat, wheel: TimerWheel) -> None:
        self._connection: Connection | None = connection
        self._heartbeat = heartbeat
        self._wheel = wheel
        self._pinged = wheel.clock()
        self._asked: float | None = None  # when the first ping was sent that nothing was heard since
        self._overdue = False  # whether what has arrived is read for the last time
        self._traffic: Traffic | None = None  # as it was when it was looked at last
        self._probe: asyncio.Future[bool] | None = None
        self.paused = False
        self.heard = False
        self.latency: float | None = None
        wheel.add(self, heartbeat.interval)

    def pong(self, payload: bytes) -> None:
        """Take a pong; one that answers no ping of ours only shows life."""
        self.heard = True
        if payload == _stamp(self._pinged):
            self.latency = (self._wheel.clock() - self._pinged) * 1000
        if self._probe is not None:
            self._probed(alive=True)

    def stop(self) -> None:
        """Ping no more."""
        self._connection = None
        if self._probe is not None:
            self._probed(alive=False)

    async def answers(self, seconds: float) -> bool:
        """Ping the peer; tell whether anything of it arrives within ``seconds``."""
        connection = self._connection
        if connection is None:
            return False
        if self._probe is None:
            self._probe = asyncio.get_running_loop().create_future()
            now = self._wheel.clock()
            self._look(connection, now)
            self._ping(connection, now)
            self._wheel.start(seconds, self._probe_over)
        return await asyncio.shield(self._probe)

    def on_timer(self) -> None:
        """Send a ping, or drop the connection; called by the timer wheel."""
        connection = self._connection
        if connection is None:
            return
        now = self._wheel.clock()
        self._look(connection, now)
        if self._asked is not None and now >= self._asked + self._heartbeat.timeout:
            self._timed_out(connection)
            return
        if now >= self._pinged + self._heartbeat.interval - TICK:
            self._ping(connection, now)
        self._wheel.add(self, self._next(now))

    def _look(self, connection: Connection, now: float) -> None:
        """Note whether the peer shows life: that of a part of a message is no answer yet, and gives it more time."""
        if self.heard or self.paused:
            self._asked = None
            self._overdue = False
        elif self._asked is not None and self._moved(connection):
            self._asked = now
            self._overdue = False

    def _moved(self, connection: Connection) -> bool:
        """Whether bytes came or left since the last look."""
        before, self._traffic = self._traffic, connection.traffic
        arrived, unsent = self._traffic
        return before is not None and (arrived != before.arrived or unsent < before.unsent)

    def _timed_out(self, connection: Connection) -> None:
        if self._overdue:
            text = f"no sign of life within {self._heartbeat.timeout} s after a ping"
            connection.abort(Close(CloseCode.ABNORMAL, text))
            return
        self._overdue = True
        self._wheel.add(self, 0)

    def _ping(self, connection: Connection, now: float) -> None:
        self.heard = False
        self._traffic = connection.traffic
        self._pinged = now
        if self._asked is None:
            self._asked = now
        connection.ping(_stamp(now))

    def _next(self, now: float) -> float:
        ping, timeout = self._pinged + self._heartbeat.interval, self._heartbeat.timeout
        if self._asked is None:
            return ping - now
        look = now + timeout / _LOOKS if self._traffic is not None and self._traffic.unsent > _BACKLOG else inf
        return min(ping, self._asked + timeout, look) - now

    def _probe_over(self) -> None:
        self._wheel.start(0, self._probe_due)  # what has come while the process stood still is read first

    def _probe_due(self) -> None:
        if self._probe is not None:
            moved = self._connection is not None and self._moved(self._connection)
            self._probed(alive=self.heard or self.paused or moved)

    def _probed(self, *, alive: bool) -> None:
        probe, self._probe = self._probe, None
        assert probe is not None, "only one that runs can end"
        if not probe.done():
            probe.set_result(alive)


def _stamp(sent: float) -> bytes:
    return b"%d" % int(sent * 1_000_000)
