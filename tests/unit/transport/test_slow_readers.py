"""Connections whose peers take next to nothing, on a clock that jumps."""

from __future__ import annotations

import asyncio
from math import inf

import pytest

from crosswire.runtime.flusher import Flusher
from crosswire.transport.message_outbox import MessageOutbox, held_size
from crosswire.transport.outbox import Outbox
from crosswire.transport.slow_readers import MIN_RATE, SlowReaders
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop

TIME = 20.0


class Peer:
    """A peer that takes some bytes a second until it stops, the writer to it, and what is told of it."""

    def __init__(self, rate: float, waiting: int, stops_at: float = inf) -> None:
        self.rate = rate
        self.stops_at = stops_at
        self.began = asyncio.get_running_loop().time()
        self.total = waiting
        self.dropped_after: float | None = None
        self.readers = SlowReaders(TIME)
        self.outbox = Outbox(self, Flusher(), 10_000_000, self, self.readers)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() - self.began

    @property
    def taken(self) -> int:
        return min(int(self.rate * min(self.now, self.stops_at)), self.total)

    @property
    def waiting(self) -> int:
        return self.total - self.taken

    def write_frames(self, data: bytes) -> None:
        raise AssertionError("it is full")

    def set_low_water_mark(self, low: int | None) -> None:
        raise AssertionError("nobody waits")

    def fell_behind(self) -> None:
        self.dropped_after = self.now

    def overflowed(self) -> None:
        raise AssertionError("little waits")


@pytest.mark.parametrize("paused", [True, False])
@pytest.mark.parametrize("rate", [0, 1, 100, MIN_RATE * 0.9])
async def test_a_peer_that_takes_next_to_nothing_is_dropped_below_the_limit(rate: float, paused: bool) -> None:
    peer = Peer(rate, 50_000)
    if paused:
        peer.outbox.pause()
        peer.outbox.push(b"x")
    else:
        peer.outbox.watch()
    await asyncio.sleep(2 * TIME)
    assert peer.dropped_after is not None
    assert TIME <= peer.dropped_after <= TIME * 1.25 + 1
    assert not peer.outbox.buffered - peer.waiting


@pytest.mark.parametrize(("rate", "waiting"), [(MIN_RATE * 1.1, 1_000_000), (10_000, 1_000_000), (10, 100)])
async def test_a_slow_peer_that_goes_on_is_not_dropped(rate: float, waiting: int) -> None:
    peer = Peer(rate, waiting)
    peer.outbox.watch()
    while peer.waiting:
        await asyncio.sleep(1)
        peer.outbox.watch()
    await asyncio.sleep(3 * TIME)
    assert peer.dropped_after is None
    assert not peer.readers.wheel._slots, "no timer is left for a peer that has taken everything"


async def test_a_peer_that_stops_later_is_dropped_then() -> None:
    peer = Peer(10_000, 1_000_000, stops_at=50)
    peer.outbox.pause()
    await asyncio.sleep(100)
    assert peer.dropped_after is not None
    assert 50 <= peer.dropped_after - TIME <= 50 + TIME / 2 + 1


async def test_a_connection_that_is_gone_has_no_timer() -> None:
    peer = Peer(0, 1000)
    peer.outbox.pause()
    peer.outbox.discard()
    peer.outbox.pause()
    await asyncio.sleep(2 * TIME)
    assert peer.dropped_after is None


class MessagePeer:
    """A peer behind an ASGI server, which takes whole messages."""

    def __init__(self) -> None:
        self.outbox = MessageOutbox(self, Flusher(), 10_000_000, self, SlowReaders(TIME))
        self.dropped_after: float | None = None
        self.began = asyncio.get_running_loop().time()

    def write(self) -> None:
        self.outbox.take()
        self.outbox.pause()

    def fell_behind(self) -> None:
        self.dropped_after = asyncio.get_running_loop().time() - self.began

    def overflowed(self) -> None:
        raise AssertionError("little waits")


async def test_an_asgi_server_that_is_held_up_by_a_small_message_drops_its_client() -> None:
    peer = MessagePeer()
    peer.outbox.push(("small",))
    peer.outbox.push(("another",))
    await asyncio.sleep(2 * TIME)
    assert peer.dropped_after is not None
    assert TIME <= peer.dropped_after <= TIME * 1.25 + 1


async def test_a_large_message_may_take_as_long_as_on_a_slow_network() -> None:
    peer = MessagePeer()
    large = "x" * 1_000_000
    peer.outbox.push((large,))
    peer.outbox.push((large,))
    await asyncio.sleep(55)
    assert peer.dropped_after is None, "it has 61 seconds, and then those of the limit"
    peer.outbox.take()
    await asyncio.sleep(60)
    assert peer.dropped_after is None
    await asyncio.sleep(60)
    assert peer.dropped_after is not None
    assert held_size(large) > 1_000_000
