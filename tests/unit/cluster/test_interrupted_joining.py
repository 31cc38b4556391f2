"""The bus is lost while a node joins: the node has its name only once it could ask for it."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from crosswire.cluster.interface import PortEvents
from crosswire.cluster.joining import HOLDER_TIMEOUT
from crosswire.cluster.memory import MemoryBus, MemoryPort
from crosswire.cluster.node import Node
from crosswire.cluster.send_buffer import Budget
from crosswire.errors import ConfigError
from tests.support.loops import on_instant_loop

Moment = Literal["before it asks", "before the answer"]


class LossyPort(MemoryPort):
    """A port that is cut off once, at a moment of the join."""

    def __init__(self, bus: MemoryBus, events: PortEvents, moment: Moment) -> None:
        super().__init__(bus, events)
        self._moment: Moment | None = moment

    async def wait_listening(self, channel: bytes) -> None:
        if self._moment == "before it asks":
            self._lose()

    def _send(self, channel: bytes, message: bytes, *, echo: bool) -> None:
        super()._send(channel, message, echo=echo)
        if self._moment == "before the answer":
            self._lose()

    async def count_listeners(self, channel: bytes) -> int:
        return await super().count_listeners(channel) if self.available else 0

    def _lose(self) -> None:
        self._moment = None
        self.available = False
        for channel in self._receivers:
            self._bus.ports.get(channel, {}).pop(self, None)
        self._events.pause_publishing()

    async def regain(self) -> None:
        await self.start()
        self._events.restored()


class LossyBus(MemoryBus):
    """A bus that shares the channels of another one, with a lossy port."""

    def __init__(self, shared: MemoryBus, moment: Moment) -> None:
        super().__init__()
        self.ports = shared.ports
        self._moment: Moment = moment
        self.port: LossyPort

    def attach(self, events: PortEvents, name: str, origin: bytes, budget: Budget) -> LossyPort:
        self.port = LossyPort(self, events, self._moment)
        return self.port


async def is_replaced(node: Node) -> bool:
    """Return whether another node takes over the name within the next seconds."""
    waiting = asyncio.create_task(node.wait_until_replaced())
    await asyncio.wait({waiting}, timeout=10)
    return not waiting.cancel()


@pytest.mark.parametrize("moment", ["before it asks", "before the answer"])
@pytest.mark.parametrize("regained_after", [HOLDER_TIMEOUT / 2, 2 * HOLDER_TIMEOUT])
@on_instant_loop
async def test_a_name_is_not_taken_if_the_bus_was_lost_when_it_was_asked_for(
    moment: Moment, regained_after: float
) -> None:
    shared = MemoryBus()
    bus = LossyBus(shared, moment)
    async with Node("a", bus=shared) as holder, asyncio.timeout(60):
        await asyncio.sleep(1)
        second = Node("a", bus=bus)
        starting = asyncio.create_task(second.start())
        await asyncio.sleep(regained_after)
        await bus.port.regain()
        try:
            await starting
        except ConfigError:  # it still starts, and could ask once more
            assert regained_after < HOLDER_TIMEOUT
        else:
            assert await is_replaced(second)
            await second.stop()
        assert not await is_replaced(holder)


@pytest.mark.parametrize("moment", ["before it asks", "before the answer"])
@on_instant_loop
async def test_a_node_that_lost_the_bus_while_it_joined_joins_when_it_is_back(moment: Moment) -> None:
    shared = MemoryBus()
    bus = LossyBus(shared, moment)
    async with Node("a", bus=shared) as first, Node("b", bus=bus) as second:
        await bus.port.regain()
        await asyncio.sleep(1)
        assert set(first.nodes) == set(second.nodes) == {"a", "b"}
