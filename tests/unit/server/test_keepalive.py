from __future__ import annotations

import asyncio

import pytest

from crosswire.core.formats import AnyOutbox
from crosswire.core.limits import Heartbeat
from crosswire.runtime.timer_wheel import TimerWheel
from crosswire.server.keepalive import Keepalive
from crosswire.testing.virtual_clock import VirtualClockLoop
from crosswire.transport.interface import TrafficSnapshot
from crosswire.types import Close
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop

HEARTBEAT = Heartbeat(interval=20, timeout=10)
SLACK = 0.25


class Peer:
    """The connection to a peer that answers pings after ``delay`` seconds, or not at all."""

    framed = True
    can_ping = True
    fd = -1

    def __init__(self, delay: float | None) -> None:
        self.delay = delay
        self.keepalive: Keepalive | None = None
        self.loop = asyncio.get_running_loop()
        self.pings: list[float] = []
        self.aborts: list[tuple[float, Close]] = []
        self.began = self.loop.time()
        self.buffered = 0
        self.traffic = TrafficSnapshot(0, 0)

    @property
    def outbox(self) -> AnyOutbox:
        return self

    def push(self, frame: bytes, /) -> None:
        raise AssertionError("a keepalive sends pings only")

    behind = False

    def offer(self, encoded: bytes, droppable: object, /) -> None:
        raise AssertionError("a keepalive sends pings only")

    async def drained(self, below: int) -> bool:
        raise AssertionError("a keepalive does not wait")

    def peer_has_left(self, *, half: bool) -> bool:
        return False

    def pause_reading(self) -> None:
        raise AssertionError("a keepalive is told of it, and does not do it")

    def resume_reading(self) -> None:
        raise AssertionError("as above")

    def close(self, code: int, reason: str = "") -> None:
        raise AssertionError("a dead peer answers no close")

    def ping(self, payload: bytes) -> None:
        self.pings.append(self.loop.time() - self.began)
        assert self.keepalive is not None
        if self.delay is not None:
            self.loop.call_later(self.delay, self.keepalive.pong, payload)

    def abort(self, close: Close) -> None:
        self.aborts.append((self.loop.time() - self.began, close))


def make_keepalive(delay: float | None, heartbeat: Heartbeat = HEARTBEAT) -> tuple[Peer, Keepalive, TimerWheel]:
    wheel = TimerWheel()
    peer = Peer(delay)
    peer.keepalive = Keepalive(peer, heartbeat, wheel)
    return peer, peer.keepalive, wheel


def close_to(times: list[float], expected: list[float]) -> bool:
    return len(times) == len(expected) and all(
        0 <= time - wanted <= SLACK * (index + 1)
        for index, (time, wanted) in enumerate(zip(times, expected, strict=True))
    )


async def test_a_peer_that_answers_is_pinged_at_every_interval() -> None:
    peer, keepalive, _ = make_keepalive(0.05)
    await asyncio.sleep(65)
    keepalive.stop()
    await asyncio.sleep(30)
    assert close_to(peer.pings, [20, 40, 60])
    assert peer.aborts == []


async def test_the_round_trip_is_told_in_milliseconds() -> None:
    _, keepalive, wheel = make_keepalive(0.05)
    before = keepalive.latency
    await asyncio.sleep(25)
    wheel.stop()
    assert before is None
    assert keepalive.latency == pytest.approx(50, abs=0.01)


async def test_a_pong_without_a_ping_is_only_a_sign_of_life() -> None:
    _, keepalive, wheel = make_keepalive(None)
    await asyncio.sleep(21)
    assert keepalive.heard is False
    keepalive.pong(b"unasked for")
    wheel.stop()
    assert (keepalive.latency, keepalive.heard) == (None, True)


@pytest.mark.parametrize("paused_at", [1.0, 19.95, 20.5, 25.0, 29.0])
async def test_the_silence_of_a_peer_that_is_not_read_means_nothing(paused_at: float) -> None:
    peer, keepalive, wheel = make_keepalive(None)
    await asyncio.sleep(paused_at)
    keepalive.paused = True
    await asyncio.sleep(1000)
    while_paused = [close for _, close in peer.aborts]
    keepalive.paused = False
    keepalive.heard = True
    began = peer.loop.time()
    await asyncio.sleep(100)
    wheel.stop()
    (dropped,) = [at for at, _ in peer.aborts]
    assert HEARTBEAT.timeout <= peer.began + dropped - began <= HEARTBEAT.interval + HEARTBEAT.timeout + 1
    assert while_paused == []
    assert len(peer.pings) > 40


async def test_a_peer_that_is_not_read_answers_a_probe() -> None:
    _, keepalive, wheel = make_keepalive(None)
    keepalive.paused = True
    alive = await keepalive.probe(1)
    keepalive.paused = False
    gone = await keepalive.probe(1)
    keepalive.stop()
    wheel.stop()
    assert (alive, gone) == (True, False)


async def test_a_peer_that_is_silent_after_a_ping_is_dropped_once() -> None:
    peer, _, _ = make_keepalive(None)
    await asyncio.sleep(200)
    assert close_to(peer.pings, [20])
    ((time, close),) = peer.aborts
    assert 30 <= time <= 30 + 2 * SLACK
    assert close == Close(1006, "no sign of life within 10 s after a ping")


async def test_a_timeout_longer_than_the_interval_spans_several_pings() -> None:
    peer, _, _ = make_keepalive(None, Heartbeat(interval=10, timeout=25))
    await asyncio.sleep(200)
    assert close_to(peer.pings, [10, 20, 30])
    assert [35 <= time <= 36 for time, _ in peer.aborts] == [True]


async def test_a_peer_that_sends_messages_is_alive_without_pongs() -> None:
    peer, keepalive, wheel = make_keepalive(None)
    for _ in range(100):
        await asyncio.sleep(1)
        keepalive.heard = True
    wheel.stop()
    assert peer.aborts == []
    assert len(peer.pings) == 4


async def test_a_late_pong_is_in_time_within_the_timeout() -> None:
    peer, _, wheel = make_keepalive(9.5)
    await asyncio.sleep(100)
    wheel.stop()
    await asyncio.sleep(20)
    assert peer.aborts == []


async def test_a_pong_that_waited_to_be_read_while_the_process_stood_still_is_in_time() -> None:
    peer, keepalive, wheel = make_keepalive(None)
    await asyncio.sleep(20.5)
    assert len(peer.pings) == 1
    VirtualClockLoop.stand_still(60)
    for _ in range(3):  # the timers of that time come before what is to be read
        await asyncio.sleep(0)
    keepalive.pong(b"read at last")
    await asyncio.sleep(5)
    wheel.stop()
    assert peer.aborts == []


async def test_after_a_stop_no_ping_is_sent_and_no_peer_dropped() -> None:
    peer, keepalive, _ = make_keepalive(None)
    await asyncio.sleep(25)
    keepalive.stop()
    await asyncio.sleep(100)
    assert (len(peer.pings), peer.aborts) == (1, [])


async def test_a_peer_whose_message_is_arriving_in_parts_is_alive() -> None:
    peer, _, _ = make_keepalive(None)
    for number in range(50):
        await asyncio.sleep(4)
        peer.traffic = TrafficSnapshot(number, 0)
    await asyncio.sleep(60)
    ((time, _),) = peer.aborts
    assert 200 <= time <= 200 + 2 * HEARTBEAT.timeout + 3 * SLACK


async def test_a_peer_that_is_held_back_is_alive_if_its_system_takes_the_pings() -> None:
    peer, _, _ = make_keepalive(None)
    peer.traffic = TrafficSnapshot(0, 0, is_held_back=True)
    await asyncio.sleep(200)
    assert not peer.aborts
    peer.traffic = TrafficSnapshot(0, 10, is_held_back=True)
    await asyncio.sleep(60)
    ((time, _),) = peer.aborts
    assert 200 <= time <= 200 + 2 * HEARTBEAT.timeout + 3 * SLACK


@pytest.mark.parametrize("backlog", [17 * 1024, 1024 * 1024])
async def test_a_peer_that_reads_is_alive_while_the_ping_waits_behind_its_data(backlog: int) -> None:
    peer, _, _ = make_keepalive(None)
    peer.traffic = TrafficSnapshot(0, 2 * backlog)
    for number in range(50):  # more comes than leaves now and then
        await asyncio.sleep(1)
        peer.traffic = TrafficSnapshot(0, 2 * backlog + (number % 5) * 100 - number)
    await asyncio.sleep(60)
    ((time, _),) = peer.aborts
    assert 50 <= time <= 50 + 2 * HEARTBEAT.timeout + 3 * SLACK


async def test_data_added_to_the_queue_is_no_sign_of_life() -> None:
    peer, _, _ = make_keepalive(None)
    for number in range(100):
        await asyncio.sleep(1)
        peer.traffic = TrafficSnapshot(0, 20_000 * number)
    ((time, _),) = peer.aborts
    assert 30 <= time <= 30 + 3 * SLACK


@pytest.mark.parametrize(("delay", "alive"), [(0.05, True), (0.9, True), (1.5, False), (None, False)])
async def test_a_probe_returns_whether_the_peer_answers_in_time(delay: float | None, alive: bool) -> None:
    peer, keepalive, wheel = make_keepalive(delay)
    await asyncio.sleep(5)
    began = peer.loop.time()
    answers = await asyncio.gather(keepalive.probe(1), keepalive.probe(1))  # both get the same answer
    took = peer.loop.time() - began
    wheel.stop()
    assert list(answers) == [alive, alive]
    assert len(peer.pings) == 1
    assert took <= 1 + 3 * SLACK
    assert peer.aborts == []


async def test_a_probe_is_answered_by_anything_that_arrives() -> None:
    peer, keepalive, wheel = make_keepalive(None)
    peer.loop.call_later(0.5, setattr, keepalive, "heard", True)
    by_message = await keepalive.probe(1)
    peer.loop.call_later(0.5, setattr, peer, "traffic", TrafficSnapshot(1, 0))
    by_part = await keepalive.probe(1)
    wheel.stop()
    assert [by_message, by_part] == [True, True]


async def test_a_probe_has_all_its_time_though_another_was_begun_shortly_before() -> None:
    peer, keepalive, wheel = make_keepalive(0.05)
    await asyncio.sleep(5)
    first = await keepalive.probe(1)
    await asyncio.sleep(0.8)
    peer.delay = 0.5  # the time of the first probe is over before the answer to the second one
    second = await keepalive.probe(1)
    wheel.stop()
    assert [first, second] == [True, True]


async def test_a_probe_of_a_connection_that_ends_returns_false() -> None:
    peer, keepalive, wheel = make_keepalive(None)
    peer.loop.call_later(0.5, keepalive.stop)
    answers = [await keepalive.probe(60), await keepalive.probe(60)]
    wheel.stop()
    assert answers == [False, False]


async def test_after_a_probe_a_peer_is_pinged_and_dropped_as_before() -> None:
    peer, keepalive, _ = make_keepalive(None)
    assert not await keepalive.probe(1)
    await asyncio.sleep(100)
    ((time, _),) = peer.aborts
    assert 10 <= time <= 30 + 3 * SLACK
