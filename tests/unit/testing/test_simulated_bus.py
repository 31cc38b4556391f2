from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from crosswire.testing.bus_member import CHANNEL, BusMember
from crosswire.testing.partitions import Partitions
from crosswire.testing.simulated_bus import OVERTAKEN_FOR, SimulatedBus
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop

COUNT = 500

Script = Callable[[BusMember, BusMember], Coroutine[Any, Any, None]]


async def members(bus: SimulatedBus, *names: str) -> list[BusMember]:
    found = [BusMember(bus, name) for name in names]
    for member in found:
        await member.port.start()
        await member.listen()
    return found


async def publish(member: BusMember, count: int = COUNT, pause: float = 0.001) -> list[bytes]:
    sent = [b"%d" % number for number in range(count)]
    for body in sent:
        member.port.publish(CHANNEL, body)
        await asyncio.sleep(pause)
    await asyncio.sleep(2)
    return sent


async def stop(*all_members: BusMember) -> None:
    for member in all_members:
        await member.port.stop()


@pytest.mark.parametrize("loss", [0.01, 0.3, 0.9])
async def test_what_is_lost_is_reported_and_the_rest_comes_in_order(loss: float) -> None:
    bus = SimulatedBus(Random(1))
    a, b = await members(bus, "a", "b")
    await publish(a, 1)
    bus.loss = loss
    sent = await publish(a)
    bus.loss = 0
    a.port.publish(CHANNEL, b"last")
    await asyncio.sleep(1)
    got = b.bodies()[1:]
    assert 0.5 * loss < 1 - len(got) / len(sent) < 1.5 * loss + 0.02
    assert got == [body for body in [*sent, b"last"] if body in set(got)]
    assert len(set(got)) == len(got)
    assert b.port.gaps > 0
    assert {event for event, _ in b.events} == {"gap"}
    await stop(a, b)


async def test_what_comes_twice_is_handed_on_once() -> None:
    bus = SimulatedBus(Random(1))
    bus.duplicate, bus.delay = 0.5, (0.0, 0.02)
    a, b = await members(bus, "a", "b")
    assert await publish(a) == b.bodies()
    assert b.events == []
    await stop(a, b)


async def test_the_order_is_restored() -> None:
    bus = SimulatedBus(Random(1))
    bus.reorder = 0.5
    a, b = await members(bus, "a", "b")
    assert await publish(a) == b.bodies()
    assert b.port.gaps == 0
    await stop(a, b)


async def test_the_order_of_what_is_on_its_way_is_restored_when_reordering_ends() -> None:
    for seed in range(20):
        bus = SimulatedBus(Random(seed))
        a, b = await members(bus, "a", "b")
        before = await publish(a, 2)
        bus.reorder = 1.0
        a.port.publish(CHANNEL, b"overtaken")
        bus.reorder = 0.0
        a.port.publish(CHANNEL, b"not overtaken")
        await asyncio.sleep(1)
        assert b.bodies() == [*before, b"overtaken", b"not overtaken"]
        assert b.port.gaps == 0
        a.port.publish(CHANNEL, b"later")
        await asyncio.sleep(0.01)
        assert b.bodies()[-1] == b"later"
        assert b.port.bus_port.hold_time == 0
        await stop(a, b)


async def test_an_overtaken_message_comes_within_the_time_for_which_later_ones_are_held() -> None:
    bus = SimulatedBus(Random(1))
    bus.reorder, bus.delay = 0.5, (0.05, 0.45)
    a, b = await members(bus, "a", "b")
    assert await publish(a) == b.bodies()
    assert b.port.gaps == 0
    await stop(a, b)


async def test_messages_that_are_not_numbered_are_overtaken() -> None:
    bus = SimulatedBus(Random(1))
    a, b = await members(bus, "a", "b")
    await b.listen(b"plain", plain=True)
    for bound in (0.0, 0.5):
        bus.reorder = bound
        b.received.clear()
        for number in range(COUNT):
            a.port.publish(b"plain", b"%d" % number, plain=True)
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        sent = [b"%d" % number for number in range(COUNT)]
        assert Counter(b.bodies(b"plain")) == Counter(sent)
        assert (b.bodies(b"plain") == sent) is (bound == 0)
    await stop(a, b)


async def test_a_delay_is_between_its_bounds_and_keeps_the_order() -> None:
    bus = SimulatedBus(Random(1))
    bus.delay = (0.2, 0.5)
    loop, came = asyncio.get_running_loop(), list[tuple[int, float]]()
    a, b = await members(bus, "a", "b")
    sent: list[float] = []
    b.port.subscribe(CHANNEL, lambda body: came.append((int(body), loop.time())))
    for number in range(100):
        sent.append(loop.time())
        a.port.publish(CHANNEL, b"%d" % number)
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    assert [number for number, _ in came] == list(range(100))
    delays = [time - sent[number] for number, time in came]
    assert 0.2 <= min(delays) < 0.3
    assert 0.4 < max(delays) <= 0.5001
    await stop(a, b)


async def test_two_nodes_may_have_faults_of_their_own() -> None:
    bus = SimulatedBus(Random(1))
    a, b, c = await members(bus, "a", "b", "c")
    bus.between("a", "b").loss = 1
    sent = await publish(a)
    assert (b.bodies(), c.bodies()) == ([], sent)
    bus.loss = 1
    bus.between("b", "a").loss = 0
    await publish(a, 1)
    assert (b.bodies(), c.bodies()) == ([b"0"], sent)
    await stop(a, b, c)


async def test_a_partition_has_groups_and_is_healed() -> None:
    healed: list[bool] = []
    partitions = Partitions(lambda: healed.append(True))
    bus = SimulatedBus(Random(1), partitions)
    a, b, c, d = await members(bus, "a", "b", "c", "d")
    partitions.block([["a"], ["b"], ["c"]], one_way=False)
    for member in (a, b, c, d):
        member.port.publish(CHANNEL, member.port.origin)
    await asyncio.sleep(1)
    heard = [set(member.bodies()) for member in (a, b, c, d)]
    origins = [member.port.origin for member in (a, b, c, d)]
    assert heard == [{origins[3]}, {origins[3]}, {origins[3]}, set(origins[:3])]
    assert await a.port.count_listeners(CHANNEL) == 2
    partitions.heal()
    partitions.heal()
    assert healed == [True]
    a.port.publish(CHANNEL, b"again")
    await asyncio.sleep(1)
    assert all(b"again" in member.bodies() for member in (b, c, d))
    await stop(a, b, c, d)


async def test_a_node_that_is_removed_hears_and_says_nothing() -> None:
    bus = SimulatedBus(Random(1))
    a, b = await members(bus, "a", "b")
    a.port.publish(CHANNEL, b"before")
    bus.remove("a")
    a.port.publish(CHANNEL, b"after")
    b.port.publish(CHANNEL, b"to the dead")
    await asyncio.sleep(1)
    assert (a.bodies(), b.bodies()) == ([], [b"before"])
    assert await b.port.count_listeners(CHANNEL) == 1
    await stop(a, b)


async def test_a_seed_gives_the_same_faults() -> None:
    got = []
    for seed in (1, 1, 2):
        bus = SimulatedBus(Random(seed))
        bus.loss, bus.duplicate, bus.reorder, bus.delay = 0.2, 0.2, 0.2, (0.0, OVERTAKEN_FOR)
        a, b = await members(bus, "a", "b")
        await publish(a)
        got.append(b.received)
        await stop(a, b)
    assert got[0] == got[1] != got[2]
