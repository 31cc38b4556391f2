from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from crosswire.cluster.log.interface import AppendFailure
from crosswire.errors import BusUnavailable
from crosswire.testing.log_member import AppendFailed, LogMember
from crosswire.testing.simulated_bus import SimulatedBus
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop


@asynccontextmanager
async def members(bus: SimulatedBus, *names: str) -> AsyncIterator[list[LogMember]]:
    found = [LogMember(bus, name) for name in names]
    for member in found:
        await member.start()
    yield found
    for member in found:
        await member.stop()


async def test_a_log_that_hangs_is_not_available_until_it_goes_on() -> None:
    bus = SimulatedBus(Random(1))
    async with members(bus, "a", "b") as (a, b):
        log = a.room("1")
        await a.append(log, b"first")
        bus.logs.hang()
        await asyncio.sleep(1)
        assert not a.log.is_available(log)
        assert not b.log.is_available(log)
        with pytest.raises(AppendFailed) as info:
            await a.append(log, b"second")
        assert info.value.failure is AppendFailure.LOST
        with pytest.raises(BusUnavailable):
            await b.log.read(log)
        bus.logs.go_on()
        await asyncio.sleep(1)
        await a.append(log, b"third")
        assert await b.bodies(log) == [b"first", b"third"]
        assert a.recorded.holders == b.recorded.holders == ["memory"] * 3


async def test_a_node_may_be_cut_off_alone_and_still_hears_the_others() -> None:
    bus = SimulatedBus(Random(1))
    async with members(bus, "a", "b") as (a, b):
        log = a.room("1")
        await b.listen(log)
        bus.logs.cut("b")
        await asyncio.sleep(1)
        assert (a.log.is_available(log), b.log.is_available(log)) == (True, False)
        await a.append(log, b"heard")
        await b.hears(log, b"heard")


async def test_what_is_under_way_when_a_node_is_cut_off_is_lost() -> None:
    bus = SimulatedBus(Random(1))
    bus.delay = (0.1, 0.1)
    async with members(bus, "a", "b") as (a, b):
        log = a.room("1")
        message = a.message(b"lost")
        done = a.begin(log, message)
        bus.logs.cut("a")
        with pytest.raises(AppendFailed):
            await done
        assert await b.bodies(log) == []
        bus.logs.go_on()
        await asyncio.sleep(1)
        await a.append(log, message)
        assert await b.bodies(log) == [b"lost"]


async def test_an_answer_may_be_lost_and_the_message_is_kept_once() -> None:
    bus = SimulatedBus(Random(1))
    async with members(bus, "a") as (a,):
        log = a.room("1")
        bus.logs.answer_loss = 1.0
        message = a.message(b"once")
        with pytest.raises(AppendFailed):
            await a.append(log, message)
        assert not a.log.is_available(log)
        bus.logs.answer_loss = 0.0
        await asyncio.sleep(1)
        await a.append(log, message)
        assert await a.bodies(log) == [b"once"]


@pytest.mark.parametrize("saved", [True, False])
async def test_a_log_that_restarts_never_passes_for_the_one_before(saved: bool) -> None:
    bus = SimulatedBus(Random(1))
    async with members(bus, "a") as (a,):
        log = a.room("1")
        await a.append(log, b"old")
        bus.logs.save()
        (before,) = await a.append(log, b"older than the restart")
        bus.logs.restart(saved=saved)
        await asyncio.sleep(1)
        (after,) = await a.append(log, b"new")
        assert after.epoch != before.epoch
        assert await a.bodies(log) == [b"new"]


async def test_records_are_lost_and_doubled_as_other_messages_are() -> None:
    bus = SimulatedBus(Random(1))
    async with members(bus, "a", "b") as (a, b):
        log = a.room("1")
        await b.listen(log)
        bus.loss = 0.5
        for number in range(100):
            await a.append(log, b"%d" % number)
        await asyncio.sleep(1)
        assert 20 < len(b.heard(log)) < 80
        bus.loss, bus.duplicate = 0.0, 1.0
        await a.append(log, b"twice")
        await asyncio.sleep(1)
        assert b.heard(log)[-2:] == [b"twice", b"twice"]


async def test_what_a_node_has_sent_arrives_though_it_dies() -> None:
    bus = SimulatedBus(Random(1))
    bus.delay = (0.1, 0.1)
    async with members(bus, "a", "b") as (a, b):
        log = a.room("1")
        await b.listen(log)
        a.begin(log, a.message(b"last words"))
        bus.remove("a")
        await b.hears(log, b"last words")
