"""Pings to the peer of a connection, to find out whether it is alive, and the latency."""

from __future__ import annotations

import asyncio
from functools import partial
from math import inf

from crosswire.core.limits import Heartbeat
from crosswire.runtime import environment
from crosswire.runtime.timer_wheel import TICK, TimerWheel
from crosswire.transport.interface import Connection, TrafficSnapshot
from crosswire.types import Close, CloseCode

SLOW_BACKLOG = 16 * 1024
"""Bytes of unsent data behind which a Ping might leave late; then progress is checked more often."""
CHECKS_PER_TIMEOUT = 8
"""Number of those checks within ``Heartbeat.timeout``."""


class Keepalive:
    """The protocol pings of one connection.

    A ping is sent every ``interval`` seconds. If neither its pong nor anything else arrives within ``timeout`` seconds,
    the peer is considered dead and the connection is dropped: in the next turn of the wheel, because after this process
    stood still the pong might have arrived and not been read yet.

    A pong is queued behind the data that the peer sends, and a ping behind the data that is sent to it. So every byte
    that arrives is a sign of life, and so is every byte that leaves while a ping waits behind it.

    Args:
        connection: to the peer.
        heartbeat: times of the pings.
        wheel: for the timers.

    Attributes:
        quiet: set until the client has its user: nothing is sent to it before.
        paused: set while reading is paused, so that silence is no sign of a dead peer.
        heard: set when anything arrives: a peer that sends is alive while its pong is queued behind its data.
        latency: milliseconds from the last answered ping to its pong, or None before the first.
        sends_heartbeats: set when a heartbeat arrives; only :class:`HeartbeatWatch` uses it.
    """

    __slots__ = (
        "_connection",
        "_heartbeat",
        "_is_last_check",
        "_last_ping",
        "_probe",
        "_slot",
        "_traffic",
        "_unanswered_since",
        "_wheel",
        "heard",
        "latency",
        "paused",
        "quiet",
        "sends_heartbeats",
    )

    def __init__(self, connection: Connection, heartbeat: Heartbeat, wheel: TimerWheel) -> None:
        self._connection: Connection | None = connection
        self._heartbeat = heartbeat
        self._wheel = wheel
        self._last_ping = environment.monotonic()
        self._unanswered_since: float | None = None  # time of the first ping after the last sign of life
        self._is_last_check = False  # whether the timeout has passed, and arrived data is read once more
        self._traffic: TrafficSnapshot | None = None  # as of the last check
        self._probe: asyncio.Future[bool] | None = None
        self.quiet = False
        self.paused = False
        self.heard = False
        self.latency: float | None = None
        self.sends_heartbeats: bool
        self._slot = wheel.add(self, heartbeat.interval)

    def pong(self, payload: bytes) -> None:
        """Take a pong. If it does not answer the last ping, it is only a sign of life."""
        self.heard = True
        if payload == _ping_payload(self._last_ping):
            self.latency = (environment.monotonic() - self._last_ping) * 1000
        if self._probe is not None:
            self._finish_probe(alive=True)

    def stop(self) -> None:
        """Stop pinging: the connection is closing or gone."""
        self._connection = None
        self._slot.pop(self, None)
        if self._probe is not None:
            self._finish_probe(alive=False)

    async def probe(self, timeout: float) -> bool:
        """Ping the peer, and return whether it shows a sign of life within ``timeout`` seconds."""
        connection = self._connection
        if connection is None:
            return False
        if (probe := self._probe) is None:
            probe = self._probe = asyncio.get_running_loop().create_future()
            now = environment.monotonic()
            self._note_life(connection, now)
            self._ping(connection, now)
            self._wheel.start(timeout, partial(self._probe_timed_out, probe))
        return await asyncio.shield(probe)

    def on_timer(self) -> None:
        """Check the peer, and ping it if an interval has passed; called by the wheel."""
        connection = self._connection
        if connection is None:
            return
        now = environment.monotonic()
        self._note_life(connection, now)
        if self._unanswered_since is not None and now >= self._unanswered_since + self._heartbeat.timeout:
            self._timed_out(connection)
            return
        if self.quiet:
            self._last_ping = now
        elif now >= self._last_ping + self._heartbeat.interval - TICK:
            self._ping(connection, now)
        self._slot = self._wheel.add(self, self._delay(now))

    def _note_life(self, connection: Connection, now: float) -> None:
        """Note a sign of life since the last check. After a part of a message, only the timeout starts again."""
        if self.heard or self.paused:
            self._unanswered_since = None
            self._is_last_check = False
        elif self._unanswered_since is not None and self._has_traffic(connection):
            self._unanswered_since = now
            self._is_last_check = False

    def _has_traffic(self, connection: Connection) -> bool:
        """Return whether bytes arrived or left since the last check."""
        before, self._traffic = self._traffic, connection.traffic
        arrived, unsent, is_held_back = self._traffic
        if is_held_back and not unsent:  # the ping has arrived, at its system at least
            return True
        return before is not None and (arrived != before.arrived or unsent < before.unsent)

    def _timed_out(self, connection: Connection) -> None:
        if self._is_last_check:
            text = f"no sign of life within {self._heartbeat.timeout} s after a ping"
            connection.abort(Close(CloseCode.ABNORMAL, text))
            return
        self._is_last_check = True
        self._slot = self._wheel.add(self, 0)

    def _ping(self, connection: Connection, now: float) -> None:
        self.heard = False
        self._traffic = connection.traffic
        self._last_ping = now
        if self._unanswered_since is None:
            self._unanswered_since = now
        connection.ping(_ping_payload(now))

    def _delay(self, now: float) -> float:
        """Return the seconds until the next check."""
        ping, timeout = self._last_ping + self._heartbeat.interval, self._heartbeat.timeout
        if self._unanswered_since is None:
            return ping - now
        is_slow = self._traffic is not None and self._traffic.unsent > SLOW_BACKLOG
        check = now + timeout / CHECKS_PER_TIMEOUT if is_slow else inf
        return min(ping, self._unanswered_since + timeout, check) - now

    def _probe_timed_out(self, probe: asyncio.Future[bool]) -> None:
        # data that arrived while the process stood still is read first
        self._wheel.start(0, partial(self._check_probe, probe))

    def _check_probe(self, probe: asyncio.Future[bool]) -> None:
        if probe is self._probe:  # else it was answered, and perhaps another one has begun
            has_traffic = self._connection is not None and self._has_traffic(self._connection)
            self._finish_probe(alive=self.heard or self.paused or has_traffic)

    def _finish_probe(self, *, alive: bool) -> None:
        probe, self._probe = self._probe, None
        assert probe is not None, "only a running probe can finish"
        if not probe.done():
            probe.set_result(alive)


def _ping_payload(sent: float) -> bytes:
    return b"%d" % int(sent * 1_000_000)
