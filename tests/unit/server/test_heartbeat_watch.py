from __future__ import annotations

import asyncio

import pytest

from crosswire.core.limits import Heartbeat
from crosswire.runtime.timer_wheel import TICK, TimerWheel
from crosswire.server.heartbeat_watch import HeartbeatWatch
from crosswire.types import CloseCode
from tests.support.fakes import FakeConnection
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop

HEARTBEAT = Heartbeat(interval=20, timeout=10)
LIMIT = HEARTBEAT.interval + HEARTBEAT.timeout


def make_watch() -> tuple[FakeConnection, HeartbeatWatch]:
    wheel = TimerWheel()
    connection = FakeConnection()
    return connection, HeartbeatWatch(connection, HEARTBEAT, wheel)


async def test_a_client_whose_heartbeats_stop_is_dropped_once() -> None:
    connection, watch = make_watch()
    watch.heard = watch.sends_heartbeats = True
    await asyncio.sleep(LIMIT - TICK)
    assert not connection.aborts
    await asyncio.sleep(2 * LIMIT)
    assert [close.code for close in connection.aborts] == [CloseCode.ABNORMAL]
    assert connection.pings == []


async def test_a_client_that_is_heard_in_every_interval_stays() -> None:
    connection, watch = make_watch()
    watch.sends_heartbeats = True
    for _ in range(10):
        watch.heard = True
        await asyncio.sleep(HEARTBEAT.interval)
    assert not connection.aborts
    watch.stop()


async def test_a_client_that_sends_no_heartbeats_may_be_silent() -> None:
    connection, watch = make_watch()
    watch.heard = True
    await asyncio.sleep(10 * LIMIT)
    assert not connection.aborts
    watch.stop()


async def test_the_silence_of_a_client_that_is_not_read_means_nothing() -> None:
    connection, watch = make_watch()
    watch.heard = watch.sends_heartbeats = watch.paused = True
    await asyncio.sleep(10 * LIMIT)
    assert not connection.aborts
    watch.stop()


async def test_after_a_stop_nobody_is_dropped() -> None:
    connection, watch = make_watch()
    watch.heard = watch.sends_heartbeats = True
    watch.stop()
    await asyncio.sleep(10 * LIMIT)
    assert not connection.aborts


@pytest.mark.parametrize("stopped", [False, True])
async def test_without_pings_a_connection_counts_as_alive_until_it_ends(stopped: bool) -> None:
    _, watch = make_watch()
    if stopped:
        watch.stop()
    assert await watch.probe(1) is not stopped
    watch.stop()
