"""The connections of a listener that have not become WebSockets yet, with limits on their time and their number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import Protocol

import msgspec

from crosswire.core.address_limits import AddressCounts, AddressRates, address_key

GRACE = 1.0
"""Seconds that a handshake has to make progress, before it gives way to another one while there are too many."""


class PendingHandshake(Protocol):
    """A connection that has not become a WebSocket yet."""

    def abort(self) -> None:
        """Drop the connection: the handshake took too long."""

    def close(self) -> None:
        """Close the connection: the listener has stopped."""

    def is_unread(self) -> bool:
        """Return whether bytes have come that this server has not handled yet."""
        ...


class AddressGuard:
    """Limits on the connections of one address that have not sent their request.

    A client that has more WebSockets than it may have, or opens them too fast, is answered with HTTP 429. These limits
    are for those that wait for no answer: twice as many connections a second, and as many pending ones as WebSockets.

    Args:
        connections: of one address; None for no limit.
        rate: of one address, a second; None for no limit.
    """

    __slots__ = ("_counts", "_rates")

    def __init__(self, connections: int | None, rate: float | None) -> None:
        self._counts = None if connections is None else AddressCounts(connections)
        self._rates = None if rate is None else AddressRates(2 * rate)

    def enter(self, key: str, now: float) -> bool:
        """Count a connection of an address; return False, and count none, if it may have no more."""
        if self._counts is not None and self._counts.is_full(key):
            return False
        if self._rates is not None and self._rates.take(key, now) > 0:
            return False
        if self._counts is not None:
            self._counts.add(key)
        return True

    def leave(self, key: str) -> None:
        """Count that a connection is pending no more."""
        if self._counts is not None:
            self._counts.discard(key)


class _Started(msgspec.Struct, frozen=True, gc=False):  # made for each connection: fast, and not followed
    """Start of a handshake, in loop time, and what stands for its address."""

    time: float
    key: str


class PendingHandshakes:
    """Pending handshakes of one listener; one timer of the event loop serves all.

    A handshake is dropped for what its client has not sent. When its time is over while bytes of it wait to be handled,
    this server is late: it has stood still, or many came before. Then its time begins anew. A client can't make use
    of that for long: its bytes are handled before, unless they are many, and they have a limit.

    Args:
        timeout: seconds that each handshake has.
        limit: how many there may be; beyond, the oldest give way if they have had ``GRACE`` seconds. None for any
            number.
        guard: limits for each address, or None.
        full: called when there are too many, and none may be dropped.
        dropped: told the reason for each connection that is dropped.

    Attributes:
        guards_addresses: whether :meth:`add` wants the address of the peer.
    """

    __slots__ = (
        "_dropped",
        "_full",
        "_guard",
        "_limit",
        "_loop",
        "_started",
        "_timeout",
        "_timer",
        "guards_addresses",
    )

    def __init__(
        self,
        timeout: float,
        limit: int | None = None,
        guard: AddressGuard | None = None,
        full: Callable[[], None] = lambda: None,
        dropped: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self._timeout = timeout
        self._limit = limit
        self._guard = guard
        self.guards_addresses = guard is not None
        self._full = full
        self._dropped = dropped
        self._started: dict[PendingHandshake, _Started] = {}  # in the order of time
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._started)

    def __contains__(self, handshake: object) -> bool:
        return handshake in self._started

    def add(self, handshake: PendingHandshake, address: str = "") -> bool:
        """Start the time of a handshake; return False if its connection is to be dropped.

        Args:
            handshake: the connection.
            address: of its peer, if limits on addresses are for the peer.
        """
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(self._timeout, self._abort_overdue)
        now, key = self._loop.time(), ""
        if self._guard is not None and address:
            key = address_key(address)
            if not self._guard.enter(key, now):
                self._dropped("address")
                return False
        if self._limit is not None and len(self._started) >= self._limit:
            self._make_room(self._limit, now)
        self._started[handshake] = _Started(now, key)
        return True

    def pass_on(self, handshake: PendingHandshake, follower: PendingHandshake) -> None:
        """Let another protocol go on with a pending connection: its time begins anew, its address stays counted."""
        started = self._started.pop(handshake)
        self._started[follower] = _Started(self._loop.time(), started.key)

    def has_room(self) -> bool:
        """Return whether there are fewer than may be, or so many may give way that there are."""
        if self._limit is None or len(self._started) < self._limit:
            return True
        last = next(islice(self._started.values(), len(self._started) - self._limit, None))  # that has to give way
        return self._loop.time() - last.time > GRACE

    def discard(self, handshake: PendingHandshake) -> None:
        """Remove a handshake that is done or whose connection is gone; may be called again."""
        started = self._started.pop(handshake, None)
        if self._guard is not None and started is not None:
            self._guard.leave(started.key)

    def close(self) -> None:
        """Close all connections whose handshake is pending."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for handshake in list(self._started):
            self.discard(handshake)
            handshake.close()

    def _make_room(self, limit: int, now: float) -> None:
        """Drop the oldest handshakes, more than one if some were accepted beyond the limit before a pause.

        If those that are left have all begun just now, there is no room.
        """
        while len(self._started) >= limit:
            handshake, started = next(iter(self._started.items()))
            if now - started.time <= GRACE:
                self._full()
                return
            self._end(handshake, started, "gave way", now)

    def _end(self, handshake: PendingHandshake, started: _Started, reason: str, now: float) -> None:
        """Drop a handshake whose time is over, or begin its time anew if it is this server that is late."""
        if handshake.is_unread():
            del self._started[handshake]
            self._started[handshake] = _Started(now, started.key)
            return
        self.discard(handshake)
        handshake.abort()
        self._dropped(reason)

    def _abort_overdue(self) -> None:
        self._timer = None
        now = self._loop.time()
        for handshake, started in list(self._started.items()):
            if started.time + self._timeout > now:
                break
            self._end(handshake, started, "timeout", now)
        if self._started:
            first = next(iter(self._started.values()))
            self._timer = self._loop.call_later(first.time + self._timeout - now, self._abort_overdue)
