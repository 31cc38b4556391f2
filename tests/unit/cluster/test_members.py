from __future__ import annotations

import asyncio

import pytest

from crosswire.cluster.memory import MemoryBus
from crosswire.core import membership
from crosswire.core.envelopes import Beat, Doubt, Goodbye
from crosswire.core.membership import BEAT_INTERVAL, MAX_BEATS
from crosswire.core.watch import WATCH_INTERVAL, WATCHED
from crosswire.errors import ConfigError
from crosswire.testing.virtual_clock import VirtualClockLoop
from tests.support.aio import wait_until
from tests.support.loops import on_instant_loop
from tests.unit.cluster.peers import Peer

DETECTION = 3.0
"""Seconds in which a node that was killed is found out."""


@pytest.mark.parametrize("phase", [0.0, 0.1, 0.2, 0.3, 0.4, 0.499])
@pytest.mark.parametrize("moment", [0.001, 0.25, 0.499])
@on_instant_loop
async def test_a_dead_node_is_detected_in_time_whenever_it_sent_its_last_beat(phase: float, moment: float) -> None:
    bus = MemoryBus()
    a = await Peer(bus, "a").start()
    await asyncio.sleep(phase)
    b = await Peer(bus, "b").start()
    await asyncio.sleep(10 * BEAT_INTERVAL + moment)
    assert a.told == ["+b"]
    loop = asyncio.get_running_loop()
    died = loop.time()
    await b.die()
    await wait_until(lambda: len(a.told) == 2)
    assert a.told == ["+b", "-b timeout"]
    assert BEAT_INTERVAL < loop.time() - died < DETECTION - 0.2  # so much is left for a busy machine
    await a.leave()


@on_instant_loop
async def test_living_nodes_are_never_given_up() -> None:
    bus = MemoryBus()
    peers = [await Peer(bus, name).start() for name in "abc"]
    await asyncio.sleep(600)
    assert [each.members.nodes.keys() for each in peers] == [{"a", "b", "c"}] * 3
    assert peers[0].told == ["+b", "+c"]
    for each in peers:
        await each.leave()


@on_instant_loop
async def test_a_member_that_was_lost_and_is_back_may_have_sent_something_meanwhile() -> None:
    bus = MemoryBus()
    a, b, c = await Peer(bus, "a").start(), await Peer(bus, "b").start(), await Peer(bus, "c").start()
    await asyncio.sleep(5)
    await b.freeze()
    await asyncio.sleep(5)
    assert a.port.gaps == c.port.gaps == 0
    b.thaw()
    await asyncio.sleep(1)
    assert a.told == ["+b", "+c", "-b timeout", "+b"]
    assert a.port.gaps == c.port.gaps == 1
    await c.leave()
    again = await Peer(bus, "c", 2).start()
    await asyncio.sleep(5)
    assert a.port.gaps == 1
    for each in (a, b, again):
        await each.leave()


@on_instant_loop
async def test_a_node_that_stood_still_does_not_give_up_the_others() -> None:
    bus = MemoryBus()
    a, b = await Peer(bus, "a").start(), await Peer(bus, "b").start()
    await asyncio.sleep(1.1)
    VirtualClockLoop.stand_still(60)  # as a suspended machine: the timers of both are late
    await asyncio.sleep(5)
    assert (a.told, b.told) == (["+b"], ["+a"])
    for each in (a, b):
        await each.leave()


@on_instant_loop
async def test_a_member_with_another_dialect_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    bus = MemoryBus()
    dialects = {"a": "native", "b": "compat-json", "c": "native"}
    peers = [await Peer(bus, name, dialect=dialect).start() for name, dialect in dialects.items()]
    errand = await Peer(bus, "tour", dialect="compat-json").start()
    await errand.leave()
    await asyncio.sleep(60)
    b_is_strange = "node 'b' speaks 'compat-json' and this one 'native'"
    warnings = [record.getMessage() for record in caplog.records]
    assert sum(each.startswith(b_is_strange) for each in warnings) == 2
    assert len(warnings) == 4  # and b of a and c
    strange = {"a": "native", "c": "native"}
    assert [each.members.incompatible for each in peers[:2]] == [{"b": "compat-json"}, strange]
    for each in peers:
        await each.leave()


@on_instant_loop
async def test_only_one_of_several_nodes_with_one_name_stays() -> None:
    bus = MemoryBus()
    peers = [Peer(bus, "a", run) for run in range(5)]
    results = await asyncio.gather(*(each.start() for each in peers), return_exceptions=True)
    assert sum(isinstance(result, Peer) for result in results) == 1
    assert sum(isinstance(result, ConfigError) for result in results) == 4
    for each in peers:
        await each.die()


@on_instant_loop
async def test_a_node_whose_clock_is_far_ahead_may_say_goodbye() -> None:
    bus = MemoryBus()
    a, b = await Peer(bus, "a").start(), await Peer(bus, "b").start()
    await asyncio.sleep(1)
    await b.die()
    a.members.goodbye(Goodbye("b", b.members.nodes["b"].incarnation, 2**61))
    await asyncio.sleep(0.1)
    assert a.told == ["+b", "-b goodbye"]
    await a.die()


@on_instant_loop
async def test_a_node_that_is_cut_off_takes_no_goodbye_for_true() -> None:
    bus = MemoryBus()
    a, b = await Peer(bus, "a").start(), await Peer(bus, "b").start()
    await asyncio.sleep(1)
    await b.freeze()
    a.members.goodbye(Goodbye("b", b.members.nodes["b"].incarnation, 0))
    await asyncio.sleep(0.1)

    async def count_nobody(channel: bytes) -> int:
        return 0

    a.port.count_listeners = count_nobody
    a.port.bus_port.available = False  # type: ignore[misc]
    await asyncio.sleep(1.5)
    assert a.told == ["+b"]
    a.port.bus_port.available = True  # type: ignore[misc]
    for each in (a, b):
        await each.die()


@on_instant_loop
async def test_a_newcomer_is_refused_only_where_listeners_can_be_counted() -> None:
    bus = MemoryBus()
    a, b = await Peer(bus, "a").start(), Peer(bus, "b")
    beat = b.members._beat()  # of a node that nobody listens as

    async def count_nobody(channel: bytes) -> int:
        return 0

    a.port.count_listeners = count_nobody
    for available, refused in ((False, 0), (True, 1)):
        a.port.bus_port.available = available  # type: ignore[misc]
        a.members.beat(beat)
        await asyncio.sleep(1)
        assert (a.unreadable, list(a.members.nodes)) == (refused, ["a"])
    await a.die()


@on_instant_loop
async def test_of_two_newcomers_with_the_name_of_a_node_that_leaves_one_gets_it() -> None:
    bus = MemoryBus()
    a, leaving = await Peer(bus, "a").start(), await Peer(bus, "b").start()
    await asyncio.sleep(1)
    await leaving.freeze()
    newcomers = [Peer(bus, "b", run) for run in (2, 3)]
    for each in newcomers:
        await each.port.start()
    a.members.goodbye(Goodbye("b", leaving.members.nodes["b"].incarnation, 0))
    for each in newcomers:
        a.members.beat(Beat(*each.members.nodes["b"][:3], 0))
    await asyncio.sleep(2.2)
    assert a.told == ["+b", "-b goodbye", "+b"]
    for each in (a, leaving, *newcomers):
        await each.die()


async def crowd(count: int) -> list[Peer]:
    """Start many nodes that know each other."""
    bus = MemoryBus()
    peers = [Peer(bus, f"{number:03}") for number in range(count)]
    for each in peers:
        await each.start_among(peers)
    await asyncio.sleep(0.5)
    return peers


@on_instant_loop
async def test_two_hundred_nodes_send_few_beats_and_find_out_at_once_who_is_dead() -> None:
    peers = await crowd(200)
    sent = sum(each.port.published for each in peers)
    await asyncio.sleep(1)
    beats = MAX_BEATS * 4 / 3  # each comes before its time, by a quarter on average
    questions = 200 * WATCHED / WATCH_INTERVAL
    assert sum(each.port.published for each in peers) - sent < 1.2 * (beats + 2 * questions)
    killed, hung = peers[7], peers[31]
    for false in (Doubt("099", peers[99].incarnation), Doubt("100", peers[100].incarnation)):
        peers[50]._native.announce(false)  # none of them is dead
    await killed.die()
    await hung.freeze()
    living = [each for each in peers if each not in (killed, hung)]
    died = asyncio.get_running_loop().time()
    await wait_until(lambda: all(len(each.told) == 2 for each in living))
    assert asyncio.get_running_loop().time() - died < DETECTION - 0.2
    hung.thaw()
    await wait_until(lambda: all(len(each.told) == 3 for each in living))
    assert asyncio.get_running_loop().time() - died < DETECTION + 2 * BEAT_INTERVAL
    for each in living:
        assert sorted(each.told) == ["+031", "-007 timeout", "-031 timeout"]
    for each in peers:
        await each.die()


@on_instant_loop
async def test_a_node_that_some_doubt_shows_all_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "MAX_BEATS", 1)
    peers = await crowd(20)
    doubts: list[Doubt] = []
    monkeypatch.setattr(peers[0].members, "doubted", doubts.append)
    for deaf in peers[3:5]:  # they hear neither answers nor questions, so they doubt those that they watch
        deaf.port.subscribe(deaf._native.own_channels.incarnation, lambda _body: None)
    await asyncio.sleep(5)
    assert {each.name for each in doubts} >= {"003", "004", "005", "006"}
    assert {tuple(each.told) for each in peers} == {()}
    for each in peers:
        await each.die()
