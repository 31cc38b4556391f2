"""Finds dead peers of connections that have no pings, by the heartbeats that their clients send."""

from __future__ import annotations

from crosswire.core.limits import Heartbeat
from crosswire.runtime import environment
from crosswire.runtime.timer_wheel import TimerWheel
from crosswire.transport.interface import Connection
from crosswire.types import Close, CloseCode


class HeartbeatWatch:
    """Watch over one connection without pings; takes the place of a :class:`Keepalive`.

    A client that has sent a heartbeat has to go on: if nothing at all arrives for ``interval`` and ``timeout``
    together, the connection is dropped at the next check, one of which is made every ``interval``. A client without
    heartbeats may be silent: only the server that carries the connection can tell whether its peer is alive.

    Args:
        connection: is dropped when its peer is dead.
        heartbeat: interval and timeout.
        wheel: for its timer.

    Attributes:
        heard: set when anything arrives.
        sends_heartbeats: set when a heartbeat arrives.
        quiet: set until the client has its user; nothing is ever sent.
        paused: set while reading is paused, so that nothing can arrive.
        latency: None, as there are no pings.
    """

    __slots__ = (
        "_connection",
        "_heartbeat",
        "_overdue",
        "_silent_since",
        "_slot",
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
        self._silent_since = environment.monotonic()
        self._overdue = False  # whether messages that have arrived are read for the last time
        self.heard = False
        self.sends_heartbeats = False
        self.quiet = False
        self.paused = False
        self.latency: float | None = None
        self._slot = wheel.add(self, heartbeat.interval)

    def pong(self, payload: bytes) -> None:
        """Take a pong as a sign of life."""
        self.heard = True

    def stop(self) -> None:
        """Stop watching: the connection is closing or gone."""
        self._connection = None
        self._slot.pop(self, None)

    async def probe(self, timeout: float) -> bool:
        """Return whether the connection is still there: without pings its peer can't be asked."""
        return self._connection is not None

    def on_timer(self) -> None:
        """Drop the connection if its peer has been silent for too long; called by the timer wheel."""
        connection = self._connection
        if connection is None:
            return
        now, limit = environment.monotonic(), self._heartbeat.interval + self._heartbeat.timeout
        if self.heard or self.paused or connection.traffic.is_held_back or not self.sends_heartbeats:
            self.heard = self._overdue = False
            self._silent_since = now
        elif now >= self._silent_since + limit:
            if self._overdue:
                connection.abort(Close(CloseCode.ABNORMAL, f"no heartbeat and no message within {limit:g} s"))
                return
            self._overdue = True  # this process might have stood still, with messages yet to be read
            self._slot = self._wheel.add(self, 0)
            return
        self._slot = self._wheel.add(self, self._heartbeat.interval)
