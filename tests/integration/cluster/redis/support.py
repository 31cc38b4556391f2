"""Started ports of a Redis bus, and a stopwatch that leaves out standstills."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from crosswire.cluster.redis.options import Redis
from crosswire.cluster.redis.port import RedisPort
from crosswire.testing.bus_member import CHANNEL, BusMember
from crosswire.types import GapInfo, LinkStatus

_STANDSTILL = 0.1
"""Seconds; an idle thread that is not run for longer shows that no thread of this process was."""


class RedisMember(BusMember):
    """A member on a bus of Redis.

    Attributes:
        redis: its port, and what that can do beyond others.
    """

    def __init__(self, bus: Redis, name: str) -> None:
        super().__init__(bus, name)
        assert isinstance(self.port.bus_port, RedisPort)
        self.redis = self.port.bus_port

    @property
    def healthy(self) -> list[bool]:
        """Whether each Redis is healthy."""
        return [status.healthy for status in self.redis.status()]

    @property
    def gaps(self) -> list[GapInfo]:
        """The values that it was told of."""
        return [value for what, value in self.events if what == "gap" and isinstance(value, GapInfo)]

    @property
    def statuses(self) -> list[LinkStatus]:
        """The values that it was told of."""
        return [value for what, value in self.events if isinstance(value, LinkStatus)]

    def numbers(self, channel: bytes = CHANNEL) -> list[int]:
        """The bodies that came on a channel, as numbers."""
        return list(map(int, self.bodies(channel)))

    def times(self, what: str) -> int:
        """Return how often a callback was called."""
        return sum(each == what for each, _ in self.events)


@asynccontextmanager
async def started_members(bus: Redis | Sequence[Redis], count: int = 1) -> AsyncIterator[list[RedisMember]]:
    """Start ``count`` ports of one bus, or one port of each of several buses."""
    buses = [bus] * count if isinstance(bus, Redis) else bus
    members = [RedisMember(each, f"node {number}") for number, each in enumerate(buses)]
    try:
        for member in members:
            await member.port.start()
        yield members
    finally:
        for member in members:
            await member.port.stop()


class Stopwatch:
    """Measures how long something took, with and without the time in which this process stood still."""

    def __init__(self) -> None:
        self._began = self._looked = time.monotonic()
        self._stood_still = 0.0
        self._looking = threading.Lock()
        threading.Thread(target=_look_often, args=(weakref.ref(self),), daemon=True).start()

    @property
    def elapsed(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._began

    @property
    def awake(self) -> float:
        """Seconds since it was made, without those in which a busy machine did not run this process."""
        self.look()
        return self._looked - self._began - self._stood_still

    def look(self) -> None:
        """Count the time since the last look as a standstill if it is too long."""
        with self._looking:
            now = time.monotonic()
            self._stood_still += max(0.0, now - self._looked - _STANDSTILL)
            self._looked = now


def _look_often(watching: weakref.ref[Stopwatch]) -> None:
    while (watch := watching()) is not None:
        watch.look()
        del watch  # or it would live as long as this thread
        time.sleep(_STANDSTILL / 10)
