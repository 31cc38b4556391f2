"""A server on a bus in memory, on whose channels anything is published."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

from crosswire import Compat, MemoryBus, Redis, Server
from crosswire.cluster.interface import Bus, Port, PortEvents
from crosswire.cluster.send_buffer import Budget
from crosswire.core.envelopes import pack_header
from crosswire.testing import connect
from tests.fuzz.bus_records import records
from tests.fuzz.connections import LIMITS, add_handlers
from tests.fuzz.target import Finding, SteppedLoop

RENEWED_AFTER = 200
"""Number of inputs after which the server is a new one, so that no finding depends on more inputs before."""
MAX_TASKS = 1000
"""Tasks that the handlers of strangers' requests may have at work."""


class RedisInMemory(Redis):
    """Options of a Redis, such as those of the original's servers, for a bus in memory."""

    def carry_over(self, bus: MemoryBus) -> RedisInMemory:
        """Use a bus in memory instead of the Redis."""
        object.__setattr__(self, "_memory", bus)
        return self

    def attach(  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        self, events: PortEvents, name: str, origin: bytes, budget: Budget
    ) -> Port:
        """Make a port in memory."""
        memory: MemoryBus = self.__dict__["_memory"]
        return memory.attach(events, name, origin, budget)


class BusServer:
    """A server in a cluster, with a client that is in a room."""

    def __init__(self, stepped: SteppedLoop, compat: Compat | None = None) -> None:
        self._stepped = stepped
        self._bus = MemoryBus()
        bus: Bus = self._bus
        if compat is not None:
            bus = RedisInMemory(["redis://127.0.0.1"], compat=compat).carry_over(self._bus)
        self.server = Server("fuzzed", port=0, bus=bus, limits=LIMITS)
        add_handlers(self.server)
        self.server.cluster.on("echo", lambda sender, data: data)
        self._numbers: Counter[tuple[bytes, bytes]] = Counter()
        self._stack = AsyncExitStack()
        stepped.run(self._begin())
        self.channels = sorted(self._bus.ports)

    def publish(self, data: bytes) -> None:
        """Publish the messages of an input, and check that the server still works."""
        self._stepped.run(self._publish(data))
        self._stepped.step(3)
        self._check()

    def close(self) -> None:
        """Stop the server."""
        self._stepped.run(self._end())

    def _header(self, channel: bytes, mode: int) -> bytes:
        """Return the next header of a sender on a channel; bits 1 and 2 of the mode say which of four senders."""
        origin = bytes((mode >> 1 & 3,)) * 8
        previous = self._numbers[origin, channel]
        self._numbers[origin, channel] += 1
        return pack_header(origin, previous + 1, previous)

    def _check(self) -> None:
        self._stepped.errors.check()
        if not self.server.running:
            raise Finding("the server has stopped")
        if self._stepped.tasks > MAX_TASKS:
            raise Finding(f"{self._stepped.tasks} tasks")

    async def _publish(self, data: bytes) -> None:
        for place, mode, body in records(data):
            channel = self.channels[place % len(self.channels)]
            header = self._header(channel, mode) if mode & 1 else b""
            for port in tuple(self._bus.ports.get(channel, ())):
                port._receive(channel, header + body)

    async def _begin(self) -> None:
        await self.server.start(listen=False)
        peer = await self._stack.enter_async_context(connect(self.server, "/?id=1"))
        await peer.call("join", "lobby")
        await self.server.cluster.subscribe("orders", _ignore)

    async def _end(self) -> None:
        await self._stack.aclose()
        await self.server.stop()


def _ignore(_sender: str, _data: object) -> None:
    """Ignore what is published on the application's channel."""


def new_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of a server that has no sockets."""
    return asyncio.new_event_loop()
