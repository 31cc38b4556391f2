"""A node joins: its name, and the members that it waits for."""

from __future__ import annotations

import asyncio

import pytest

from crosswire.cluster.joining import HOLDER_TIMEOUT, WELCOME_TIMEOUT
from crosswire.cluster.memory import MemoryBus
from crosswire.errors import ConfigError
from tests.support.aio import wait_until
from tests.support.loops import on_instant_loop
from tests.unit.cluster.peers import Peer


@on_instant_loop
async def test_a_new_node_starts_at_once() -> None:
    bus = MemoryBus()
    loop = asyncio.get_running_loop()
    began = loop.time()
    peers = [await Peer(bus, name).start() for name in "abcdef"]
    assert loop.time() - began < 0.1
    assert peers[-1].members.names == list("abcde")
    silent = await Peer(bus, "silent").start()
    await silent.freeze()
    began = loop.time()
    late = await Peer(bus, "late").start()
    assert loop.time() - began == pytest.approx(WELCOME_TIMEOUT, abs=0.1)
    for each in (*peers, late):
        await each.leave()
    await silent.port.stop()


@on_instant_loop
async def test_a_name_whose_holder_answers_is_refused_and_not_announced() -> None:
    bus = MemoryBus()
    holder, other = await Peer(bus, "a").start(), await Peer(bus, "b").start()
    second = Peer(bus, "a", run=2)
    with pytest.raises(ConfigError, match="'a'"):
        await second.start()
    await second.die()
    await asyncio.sleep(10)
    assert (holder.told, other.told) == (["+b"], ["+a"])
    for each in (holder, other):
        await each.leave()


@on_instant_loop
async def test_a_name_whose_holder_does_not_answer_is_taken_over() -> None:
    bus = MemoryBus()
    other, holder = await Peer(bus, "b").start(), await Peer(bus, "a").start()
    await holder.freeze()
    loop = asyncio.get_running_loop()
    began = loop.time()
    successor = await Peer(bus, "a", run=2).start()
    assert HOLDER_TIMEOUT <= loop.time() - began < HOLDER_TIMEOUT + WELCOME_TIMEOUT + 0.1
    await wait_until(lambda: other.told == ["+a", "-a replaced", "+a"])  # it asks the holder too
    assert loop.time() - began < 2 * HOLDER_TIMEOUT + WELCOME_TIMEOUT + 0.1
    await holder.die()
    for each in (successor, other):
        await each.leave()


@pytest.mark.parametrize("late", [0.01, 0.3, 0.6])
@on_instant_loop
async def test_one_node_keeps_the_name_if_its_holder_answers_too_late(late: float) -> None:
    bus = MemoryBus()
    other, holder = await Peer(bus, "b").start(), await Peer(bus, "a").start()
    await holder.freeze()
    asyncio.get_running_loop().call_later(HOLDER_TIMEOUT + late, holder.thaw)
    successor = await Peer(bus, "a", run=2).start()
    await asyncio.sleep(10)
    assert other.told == ["+a", "-a replaced", "+a"]
    assert "replaced" in holder.told
    assert "replaced" not in successor.told
    await holder.die()
    for each in (successor, other):
        await each.leave()


@on_instant_loop
async def test_a_late_answer_of_the_holder_counts_until_the_name_is_announced() -> None:
    bus = MemoryBus()
    holder, other = await Peer(bus, "a").start(), await Peer(bus, "b").start()
    await holder.freeze()
    second = Peer(bus, "a", run=2)
    await second.port.start()
    await second.members.joining.claim_name()
    holder.thaw()
    await asyncio.sleep(0)
    with pytest.raises(ConfigError, match="'a'"):
        await second.members.joining.introduce()
    await second.die()
    await asyncio.sleep(10)
    assert (holder.told, other.told) == (["+b"], ["+a"])
    for each in (holder, other):
        await each.leave()


@pytest.mark.parametrize("turns", range(5))
@on_instant_loop
async def test_a_start_cancelled_with_the_last_answer_is_cancelled(turns: int) -> None:
    bus = MemoryBus()
    slow, newcomer = await Peer(bus, "a").start(), Peer(bus, "b")
    await slow.freeze()
    await newcomer.port.start()
    introducing = asyncio.create_task(newcomer.members.joining.introduce())
    await asyncio.sleep(0.1)
    slow.thaw()
    for _ in range(turns):
        await asyncio.sleep(0)
    too_late = not introducing.cancel()
    await asyncio.wait({introducing})
    await newcomer.die()
    await slow.leave()
    assert too_late or introducing.cancelled()
