from __future__ import annotations

import asyncio
from functools import partial

import pytest

from crosswire.runtime import environment
from crosswire.server.join_turns import TURN_TIME, JoinTurns
from tests.support.loops import on_instant_loop


class Clock:
    """A clock that a join moves on by the time it takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(environment, "perf_counter", lambda: self.now)


@on_instant_loop
async def test_a_turn_does_as_many_joins_as_its_time_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, turns, done = Clock(monkeypatch), JoinTurns(), list[int]()

    def join(number: int) -> None:
        clock.now += TURN_TIME / 4
        done.append(number)

    tasks = [asyncio.ensure_future(turns.run(partial(join, number))) for number in range(10)]
    seen = []
    while len(done) < 10:
        await asyncio.sleep(0)
        seen.append(len(done))
    assert done == [*range(10)]
    assert all(after - before <= 4 for before, after in zip([0, *seen], seen, strict=False))
    await asyncio.gather(*tasks)
    assert len(turns) == 0


@on_instant_loop
async def test_a_join_that_nobody_waits_for_any_more_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, turns, done = Clock(monkeypatch), JoinTurns(), list[int]()

    def join(number: int) -> None:
        clock.now += TURN_TIME
        done.append(number)

    tasks = [asyncio.ensure_future(turns.run(partial(join, number))) for number in range(4)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert done == [0, 1, 3]
    assert [type(result) for result in results] == [type(None), type(None), asyncio.CancelledError, type(None)]


@on_instant_loop
async def test_a_join_that_fails_fails_where_it_waits_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, turns, done = Clock(monkeypatch), JoinTurns(), list[int]()

    def join(number: int) -> None:
        clock.now += TURN_TIME
        if number in (0, 2):
            raise ValueError(number)
        done.append(number)

    tasks = [asyncio.ensure_future(turns.run(partial(join, number))) for number in range(4)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert done == [1, 3]
    assert [type(result) for result in results] == [ValueError, type(None), ValueError, type(None)]
    await turns.run(lambda: done.append(9))
    assert done == [1, 3, 9]
