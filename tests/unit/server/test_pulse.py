from __future__ import annotations

import asyncio

from crosswire.runtime.wheel import TimerWheel
from crosswire.server.pulse import Pulse
from crosswire.types import Close, Heartbeat
from tests.support.aio import run
from tests.support.clock import InstantLoop

HEARTBEAT = Heartbeat(interval=20, timeout=10)
SLACK = 0.25


class Peer:
    """The connection to a peer that answers pings after ``delay`` seconds, or not at all."""

    def __init__(self, delay: float | None) -> None:
        self.delay = delay
        self.pulse: Pulse | None = None
        self.loop = asyncio.get_running_loop()
        self.pings: list[float] = []
        self.aborts: list[tuple[float, Close]] = []
        self.began = self.loop.time()
        self.buffered = 0

    def push(self, frame: bytes, /) -> None:
        raise AssertionError("a pulse sends pings only")

    def close(self, code: int, reason: str = "") -> None:
        raise AssertionError("a dead peer answers no close")

    def ping(self, payload: bytes) -> None:
        self.pings.append(self.loop.time() - self.began)
        assert self.pulse is not None
        if self.delay is not None:
            self.loop.call_later(self.delay, self.pulse.pong, payload)

    def abort(self, close: Close) -> None:
        self.aborts.append((self.loop.time() - self.began, close))


def beating(delay: float | None, heartbeat: Heartbeat = HEARTBEAT) -> tuple[Peer, Pulse, TimerWheel]:
    wheel = TimerWheel()
    wheel.clock = asyncio.get_running_loop().time
    peer = Peer(delay)
    peer.pulse = Pulse(peer, heartbeat, wheel)
    return peer, peer.pulse, wheel


def close_to(times: list[float], expected: list[float]) -> bool:
    return len(times) == len(expected) and all(
        0 <= time - wanted <= SLACK * (index + 1)
        for index, (time, wanted) in enumerate(zip(times, expected, strict=True))
    )


def test_a_peer_that_answers_is_asked_at_every_interval() -> None:
    async def main() -> Peer:
        peer, pulse, _ = beating(0.05)
        await asyncio.sleep(65)
        pulse.stop()
        await asyncio.sleep(30)
        return peer

    peer = run(main(), InstantLoop)
    assert close_to(peer.pings, [20, 40, 60])
    assert peer.aborts == []


def test_the_round_trip_is_told_in_milliseconds() -> None:
    async def main() -> tuple[float | None, float | None]:
        _, pulse, wheel = beating(0.05)
        before = pulse.latency
        await asyncio.sleep(25)
        wheel.stop()
        return before, pulse.latency

    before, latency = run(main(), InstantLoop)
    assert before is None
    assert latency is not None
    assert abs(latency - 50) < 0.01


def test_a_pong_that_answers_no_ping_only_shows_life() -> None:
    async def main() -> tuple[float | None, bool]:
        _, pulse, wheel = beating(None)
        await asyncio.sleep(21)
        assert pulse.heard is False
        pulse.pong(b"unasked for")
        wheel.stop()
        return pulse.latency, pulse.heard

    assert run(main(), InstantLoop) == (None, True)


def test_a_peer_that_is_silent_after_a_ping_is_dropped_once() -> None:
    async def main() -> Peer:
        peer, _, _ = beating(None)
        await asyncio.sleep(200)
        return peer

    peer = run(main(), InstantLoop)
    assert close_to(peer.pings, [20])
    ((time, close),) = peer.aborts
    assert 30 <= time <= 30 + 2 * SLACK
    assert close == Close(1006, "no sign of life within 10 s after a ping")


def test_a_timeout_longer_than_the_interval_spans_several_pings() -> None:
    async def main() -> Peer:
        peer, _, _ = beating(None, Heartbeat(interval=10, timeout=25))
        await asyncio.sleep(200)
        return peer

    peer = run(main(), InstantLoop)
    assert close_to(peer.pings, [10, 20, 30])
    assert [35 <= time <= 36 for time, _ in peer.aborts] == [True]


def test_a_peer_that_talks_is_alive_without_pongs() -> None:
    async def main() -> Peer:
        peer, pulse, wheel = beating(None)
        for _ in range(100):
            await asyncio.sleep(1)
            pulse.heard = True
        wheel.stop()
        return peer

    peer = run(main(), InstantLoop)
    assert peer.aborts == []
    assert len(peer.pings) == 4


def test_a_late_pong_is_in_time_within_the_timeout() -> None:
    async def main() -> Peer:
        peer, _, wheel = beating(9.5)
        await asyncio.sleep(100)
        wheel.stop()
        await asyncio.sleep(20)
        return peer

    assert run(main(), InstantLoop).aborts == []


def test_a_pong_that_waited_to_be_read_while_the_process_stood_still_is_in_time() -> None:
    async def main() -> Peer:
        peer, pulse, wheel = beating(None)
        await asyncio.sleep(20.5)
        assert len(peer.pings) == 1
        InstantLoop.stand_still(60)
        for _ in range(3):  # the timers of that time come before what is to be read
            await asyncio.sleep(0)
        pulse.pong(b"read at last")
        await asyncio.sleep(5)
        wheel.stop()
        return peer

    assert run(main(), InstantLoop).aborts == []


def test_after_a_stop_nothing_is_asked_and_nobody_dropped() -> None:
    async def main() -> Peer:
        peer, pulse, _ = beating(None)
        await asyncio.sleep(25)
        pulse.stop()
        await asyncio.sleep(100)
        return peer

    peer = run(main(), InstantLoop)
    assert (len(peer.pings), peer.aborts) == (1, [])
