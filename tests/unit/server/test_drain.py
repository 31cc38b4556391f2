from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from math import inf

import pytest

from crosswire.server.drain import MIN_TIME
from tests.support.fakes import FakeConnection, FakeServer
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop


async def drain_connections(
    seconds: float, connections: int, *, busy: int = 0, unresponsive: int = 0
) -> tuple[list[FakeConnection], list[float], float]:
    """Drain a server; return its connections, when each closed, and how long it took.

    Args:
        seconds: to drain.
        connections: how many there are.
        busy: how many of them have handlers at work.
        unresponsive: how many of them do not answer a close.
    """

    server, made = FakeServer(duplicates="allow"), []
    loop = asyncio.get_running_loop()
    for number in range(connections):
        session, connection = server.connect()
        session.handlers.running = 1 if number < busy else 0
        connection.answers_close = number >= unresponsive
        made.append(connection)
    began = loop.time()
    await server.drain.spread(seconds)
    await server.drain.close_all(began + max(seconds, MIN_TIME))
    took = loop.time() - began
    await asyncio.sleep(1)
    assert len(server.sessions) == 0
    await server.end()
    return made, [each.closed_at - began for each in made if each.closed_at is not None], took


async def test_draining_without_connections_takes_no_time() -> None:
    assert (await drain_connections(10, 0))[2] == pytest.approx(0, abs=1e-3)


async def test_without_time_all_connections_are_closed_at_once_with_1001() -> None:
    connections, times, took = await drain_connections(0, 20)
    assert [each.closes for each in connections] == [[(1001, "the server is stopping")]] * 20
    assert max(times) < 0.01
    assert took < 0.1


async def test_with_infinite_time_closing_is_spread_over_a_minute() -> None:
    _, times, took = await drain_connections(inf, 100, busy=10)
    assert 55 < max(times) <= 61
    assert took < 61


async def test_closing_is_spread_over_the_time() -> None:
    connections, times, took = await drain_connections(10, 400)
    assert [len(each.closes) for each in connections] == [1] * 400
    assert 7 < max(times) <= 8.1
    assert took <= 10
    a_second = Counter(int(time) for time in times)
    assert all(30 <= count <= 70 for count in list(a_second.values())[:7])


async def test_closing_few_connections_is_spread_too() -> None:
    _, times, _ = await drain_connections(10, 4)
    assert all(0 <= second - first <= 5 for first, second in pairwise(sorted(times)))
    assert max(times) <= 8.1


async def test_connections_with_handlers_at_work_are_closed_last() -> None:
    connections, _, _ = await drain_connections(10, 100, busy=10)
    times = [each.closed_at for each in connections]
    busy, idle = [time for time in times[:10] if time], [time for time in times[10:] if time]
    assert (len(busy), len(idle)) == (10, 90)
    assert min(busy) >= max(idle)


async def test_a_peer_that_does_not_answer_the_close_is_dropped_at_the_deadline() -> None:
    connections, _, took = await drain_connections(3, 10, unresponsive=2)
    assert [[close.code for close in each.aborts] for each in connections] == [[1001]] * 2 + [[]] * 8
    assert took == pytest.approx(3, abs=0.1)


async def test_closing_handshakes_get_a_minimum_of_time() -> None:
    connections, _, took = await drain_connections(0, 1, unresponsive=1)
    assert len(connections[0].aborts) == 1
    assert took == pytest.approx(MIN_TIME, abs=0.1)
