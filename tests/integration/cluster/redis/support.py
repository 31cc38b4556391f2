"""Ports of one bus, that end with the test."""

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
"""Seconds. If a thread that has nothing else to do is not run for longer, no thread of the process is."""


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
        """Of each Redis, whether it is."""
        return [status.healthy for status in self.redis.status()]

    @property
    def gaps(self) -> list[GapInfo]:
        """It was told of."""
        return [value for what, value in self.told if what == "gap" and isinstance(value, GapInfo)]

    @property
    def statuses(self) -> list[LinkStatus]:
        """It was told of."""
        return [value for what, value in self.told if isinstance(value, LinkStatus)]

    def numbers(self, channel: bytes = CHANNEL) -> list[int]:
        """What came on a channel, where the bodies are numbers."""
        return list(map(int, self.bodies(channel)))

    def times(self, what: str) -> int:
        """How often it was told of something."""
        return sum(each == what for each, _ in self.told)


@asynccontextmanager
async def crew(bus: Redis | Sequence[Redis], count: int = 1) -> AsyncIterator[list[RedisMember]]:
    """Start ports: so many of one bus, or one of each of several."""
    buses = [bus] * count if isinstance(bus, Redis) else bus
    members = [RedisMember(each, f"node {number}") for number, each in enumerate(buses)]
    try:
        for member in members:
            await member.port.start()
        yield members
    finally:
        for member in members:
            await member.port.stop()


class Watch:
    """Tells whether something took as long as it may."""

    def __init__(self) -> None:
        self._began = self._looked = time.monotonic()
        self._stood_still = 0.0
        self._looking = threading.Lock()
        threading.Thread(target=_look_often, args=(weakref.ref(self),), daemon=True).start()

    @property
    def elapsed(self) -> float:
        """Seconds since it was made: what it took at least."""
        return time.monotonic() - self._began

    @property
    def awake(self) -> float:
        """Those in which this process did not stand still, as a busy machine lets it: what may be limited."""
        self.look()
        return self._looked - self._began - self._stood_still

    def look(self) -> None:
        """Note how long nobody has looked."""
        with self._looking:
            now = time.monotonic()
            self._stood_still += max(0.0, now - self._looked - _STANDSTILL)
            self._looked = now


def _look_often(watching: weakref.ref[Watch]) -> None:
    while (watch := watching()) is not None:
        watch.look()
        del watch  # or it would live as long as this thread
        time.sleep(_STANDSTILL / 10)
