from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import pytest

from crosswire.cluster.clients import NoClients
from crosswire.cluster.dialect import AskedRequest, Asker
from crosswire.cluster.history.declarations import Declarations
from crosswire.cluster.interface import Bus, BusEvents, Receive
from crosswire.cluster.life_checks import LifeChecks
from crosswire.cluster.members import HOLDER_TIMEOUT, WELCOME_TIMEOUT, Members
from crosswire.cluster.memory import MemoryBus
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.cluster.ordered_receiver import IsReadable, ReceiveBody
from crosswire.cluster.receivers import ReceiveUnproven
from crosswire.cluster.requests import PendingRequests
from crosswire.core import membership
from crosswire.core.channel_names import Channels
from crosswire.core.clock import HybridClock
from crosswire.core.envelopes import Beat, Doubt, Goodbye
from crosswire.core.membership import BEAT_INTERVAL, MAX_BEATS, beat_interval
from crosswire.core.watch import WATCH_INTERVAL, WATCHED
from crosswire.errors import ConfigError
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.testing.virtual_clock import VirtualClockLoop
from crosswire.types import NodeInfo
from tests.support.aio import wait_until
from tests.support.ignored_events import IgnoredPortEvents
from tests.support.loops import on_instant_loop

DETECTION = 3.0
"""Seconds in which a node that was killed is found out."""


class Inbox:
    """Answers every request, as the question whether the node is alive."""

    alive = True

    def event(self, *_event: Any, **_more: Any) -> None: ...

    def request(self, asker: Asker, *_request: Any, **_more: Any) -> None:
        if self.alive:
            asker.answer(None)

    def all_requested(self, asked: Sequence[AskedRequest]) -> None:
        for each in asked:
            self.request(each)


class RecordingPort(OrderedPort):
    """A port that notes the receiver of each channel."""

    def __init__(self, bus: Bus, events: BusEvents, name: str, origin: bytes) -> None:
        super().__init__(bus, events, name, origin)
        self.receivers: dict[bytes, ReceiveBody] = {}

    def subscribe(
        self,
        channel: bytes,
        receive: ReceiveBody,
        *,
        plain: bool = False,
        is_readable: IsReadable | None = None,
        unproven: ReceiveUnproven | None = None,
        take_record: Receive | None = None,
    ) -> None:
        self.receivers[channel] = receive
        super().subscribe(
            channel, receive, plain=plain, is_readable=is_readable, unproven=unproven, take_record=take_record
        )


class Peer:
    """A node that has nothing but its members, and notes what it is told of them."""

    def __init__(self, bus: MemoryBus, name: str, run: int = 1, dialect: str = "native") -> None:
        loop = asyncio.get_running_loop()
        incarnation = f"{run:08x}{name.encode().hex():0>8}"
        self.name, self.incarnation = name, incarnation
        self.told: list[str] = []
        self.port = RecordingPort(bus, IgnoredPortEvents(), name, bytes.fromhex(incarnation))
        native = NativeDialect(self.port, Channels(bus.prefix), name, incarnation)
        clock = HybridClock(lambda: int(loop.time() * 1_000_000))
        own = NodeInfo(name, incarnation, loop.time())
        self.tasks = BackgroundTasks()
        self.declarations = Declarations()
        self._inbox, self._requests = Inbox(), PendingRequests()
        checks = LifeChecks(native, self.port, self._requests)
        self.members = Members(
            own,
            native,
            self.port,
            NoClients(),
            self,
            clock,
            dialect,
            self.declarations,
            checks=checks,
            tasks=self.tasks,
        )
        self._native = native
        self._kept: list[tuple[bytes, bytes]] = []
        native.listen_to_nodes(self._inbox, self._requests, self.members)
        self._beating: asyncio.Task[None] | None = None

    async def start(self) -> Peer:
        await self.port.start()
        await self.members.claim_name()
        await self.members.introduce()
        self._beating = asyncio.create_task(self.members.run())
        return self

    @property
    def unreadable(self) -> int:
        return self._native.unreadable

    async def start_among(self, others: list[Peer]) -> None:
        """Start as one of many that know each other already."""
        await self.port.start()
        now, every = asyncio.get_running_loop().time(), beat_interval(len(others))
        for each in others:
            if each is not self:
                self.members._members.add(msgspec.structs.replace(each.members._beat(), every=every), now)
                self.port.remember(bytes.fromhex(each.incarnation))
        self.members._name.announced = self.members._name.admitted = True
        self.members._beats._first = 0
        self.members._beats.sent(self.members._beat(), now)
        self._beating = asyncio.create_task(self.members.run())

    async def leave(self) -> None:
        self._inbox.alive = False
        self.members.announce_leave()
        await self.die()

    async def freeze(self) -> None:
        """Say and hear nothing any more, but keep the channels, and what comes."""
        for channel in self._native.own_channels:
            self.port.subscribe(channel, partial(self._keep, channel))
        await self._end_beats()

    def thaw(self) -> None:
        """Hear what has come meanwhile, and go on."""
        self._native.listen_to_nodes(self._inbox, self._requests, self.members)
        for channel, body in self._kept:
            self.port.receivers[channel](body)
        self._beating = asyncio.create_task(self.members.run())

    async def die(self) -> None:
        await self._end_beats()
        await self.tasks.cancel()
        self._requests.end_all()
        await self.port.stop()

    def _keep(self, channel: bytes, body: bytes) -> None:
        self._kept.append((channel, body))

    async def _end_beats(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])

    # MembershipEvents

    def joined(self, info: NodeInfo) -> None:
        self.told.append(f"+{info.name}")

    def left(self, info: NodeInfo, reason: str) -> None:
        self.told.append(f"-{info.name} {reason}")

    def replaced(self) -> None:
        self._inbox.alive = False
        self.told.append("replaced")


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
    await second.members.claim_name()
    holder.thaw()
    await asyncio.sleep(0)
    with pytest.raises(ConfigError, match="'a'"):
        await second.members.introduce()
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
    introducing = asyncio.create_task(newcomer.members.introduce())
    await asyncio.sleep(0.1)
    slow.thaw()
    for _ in range(turns):
        await asyncio.sleep(0)
    too_late = not introducing.cancel()
    await asyncio.wait({introducing})
    await newcomer.die()
    await slow.leave()
    assert too_late or introducing.cancelled()


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
