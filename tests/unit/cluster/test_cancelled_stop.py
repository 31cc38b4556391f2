"""A stop that is cancelled takes the node out of its cluster all the same."""

from __future__ import annotations

import asyncio

import pytest

from crosswire.cluster.log.interface import Append
from crosswire.cluster.log.memory import MemoryLog
from crosswire.cluster.memory import MemoryBus
from crosswire.cluster.node import Node
from tests.support.loops import on_instant_loop


async def require_gone(other: Node, bus: MemoryBus) -> None:
    """Check that no node but this one is left on its bus."""
    await asyncio.sleep(0.1)
    assert list(other.nodes) == [other.name]
    assert {port for ports in bus.ports.values() for port in ports} == {other._lifecycle.connection().port.bus_port}


@pytest.mark.parametrize("turns", range(1, 20))
@on_instant_loop
async def test_a_node_has_left_whenever_its_stop_is_cancelled(turns: int) -> None:
    bus = MemoryBus()
    async with Node("other", bus=bus) as other:
        node = Node("a", bus=bus)
        node.history("chat")
        await node.start()
        stopping = asyncio.create_task(node.stop())
        for _ in range(turns):
            await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait({stopping})
        await require_gone(other, bus)


@pytest.mark.parametrize("seconds", [0.1, 0.45])
@on_instant_loop
async def test_a_node_has_left_though_a_log_does_not_answer(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = MemoryBus()

    def ignore(_log: MemoryLog, _append: Append) -> None:
        """Give no answer."""

    monkeypatch.setattr(MemoryLog, "append", ignore)
    async with Node("other", bus=bus) as other:
        node = Node("a", bus=bus)
        node.history("chat")
        await node.start()
        node.room("chat", "1").send("said", "hello")
        stopping = asyncio.create_task(node.stop())
        await asyncio.sleep(seconds)
        stopping.cancel()
        await asyncio.wait({stopping})
        await require_gone(other, bus)
