"""What asks other nodes while its own node leaves the cluster learns at once that there will be no answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crosswire.cluster.memory import MemoryBus, MemoryPort
from crosswire.cluster.node import Node
from crosswire.errors import NotConnected
from tests.support.aio import wait_until
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop


@asynccontextmanager
async def leaving_node(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    """Yield a node that leaves a cluster with the node "other", and is about to disconnect from the bus."""
    bus, disconnecting, released = MemoryBus(), list[MemoryPort](), asyncio.Event()
    stop = MemoryPort.stop

    async def stop_late(port: MemoryPort) -> None:
        disconnecting.append(port)
        await released.wait()
        await stop(port)

    async def never_answer(_sender: str, _data: object) -> None:
        await asyncio.get_running_loop().create_future()

    other = Node("other", bus=bus)
    other.on("x", never_answer)
    async with other:
        node = Node("a", bus=bus)
        await node.start()
        await wait_until(lambda: "other" in node.nodes)
        monkeypatch.setattr(MemoryPort, "stop", stop_late)
        stopping = asyncio.ensure_future(node.stop())
        await wait_until(lambda: disconnecting)
        try:
            yield node
        finally:
            released.set()
            await stopping


@pytest.mark.parametrize("name", ["other", "a"])
async def test_a_call_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with leaving_node(monkeypatch) as node:
        for _ in range(2):
            with pytest.raises(NotConnected, match="the node stops"):
                await asyncio.wait_for(node.call(name, "x", timeout=60), 1)


async def test_of_several_nodes_those_are_missing_that_do_not_answer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with leaving_node(monkeypatch) as node:
        for _ in range(2):
            replies = await asyncio.wait_for(node.gather("x", timeout=60), 1)
            assert replies.missing == ("other",)
        with pytest.raises(NotConnected):
            await node.call("other", "x", timeout=60)
