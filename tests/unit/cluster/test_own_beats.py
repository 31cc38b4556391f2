from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from crosswire.cluster.clients import NoClients
from crosswire.cluster.history.declarations import Declarations
from crosswire.cluster.own_beats import FIRST_BEATS, OwnBeats
from crosswire.core.clock import HybridClock
from crosswire.core.envelopes import Beat
from crosswire.core.membership import BEAT_INTERVAL, Membership
from crosswire.types import NodeInfo
from tests.support.loops import on_instant_loop


class Load(NoClients):
    """Clients of a server, some of which may want MessagePack."""

    serves = True
    wants_msgpack = False


class NoPort:
    """A port that listens on no path."""

    paths = ()


def beats_among(others: int, load: Load | None = None) -> OwnBeats:
    members = Membership()
    for number in range(others):
        members.add(Beat(f"b{number}", f"{number:016x}", 1.0, 1), 0)
    own = NodeInfo("a", "f" * 16, 1.0)
    port = cast("Any", NoPort())
    return OwnBeats(own, members, port, load or Load(), HybridClock(lambda: 1), "native", Declarations(), None)


async def sent_within(beats: OwnBeats, seconds: float) -> list[float]:
    """Return when beats were sent, as a node looks whether one is due."""
    loop = asyncio.get_running_loop()
    began, sent = loop.time(), []
    while (now := loop.time()) - began < seconds:
        if beats.is_due(now):
            beats.sent(beats.make(), now)
            sent.append(now - began)
        await asyncio.sleep(BEAT_INTERVAL / 2)
    return sent


@pytest.mark.parametrize("others", [0, 1, 49])
@on_instant_loop
async def test_in_a_cluster_of_few_a_node_beats_every_half_second(others: int) -> None:
    beats = beats_among(others)
    assert beats.make().every == BEAT_INTERVAL
    assert await sent_within(beats, 10) == pytest.approx([each * BEAT_INTERVAL for each in range(20)], abs=0.01)


@on_instant_loop
async def test_in_a_cluster_of_many_a_node_beats_at_least_as_often_as_it_says() -> None:
    beats = beats_among(999)
    assert beats.make().every == 10
    sent = await sent_within(beats, 600)
    assert sent[:FIRST_BEATS] == pytest.approx([each * BEAT_INTERVAL for each in range(FIRST_BEATS)], abs=0.01)
    pauses = [later - earlier for earlier, later in zip(sent[FIRST_BEATS - 1 :], sent[FIRST_BEATS:], strict=False)]
    assert all(4.5 < each <= 10 + BEAT_INTERVAL / 2 for each in pauses)
    assert max(pauses) - min(pauses) > 2  # those of all nodes don't come at the same moment


@on_instant_loop
async def test_a_beat_that_is_wanted_or_says_something_new_comes_at_once() -> None:
    load = Load()
    beats = beats_among(999, load)
    await sent_within(beats, 30)
    loop = asyncio.get_running_loop()
    beats.sent(beats.make(), loop.time())
    assert not beats.is_due(loop.time())
    beats.want()
    assert beats.is_due(loop.time())
    beats.sent(beats.make(), loop.time())
    assert not beats.is_due(loop.time())
    load.wants_msgpack = True
    assert beats.is_due(loop.time())
    beats.sent(beats.make(), loop.time())
    assert not beats.is_due(loop.time())


@on_instant_loop
async def test_a_node_that_was_cut_off_beats_often_for_a_while() -> None:
    beats = beats_among(999)
    await sent_within(beats, 30)
    beats.sent(beats.make(asks=True), asyncio.get_running_loop().time())
    assert len(await sent_within(beats, FIRST_BEATS * BEAT_INTERVAL)) >= FIRST_BEATS - 1
