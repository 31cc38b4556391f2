from __future__ import annotations

import asyncio
from typing import cast

import pytest

from crosswire.server.session import Session
from crosswire.server.sessions import Sessions
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop


class FakeSession:
    def __init__(self, name: str) -> None:
        self.name = name


def session(name: str) -> Session:
    return cast(Session, FakeSession(name))


async def wait_for_sessions(leaving: dict[str, float], timeout: float) -> tuple[float, int]:
    """Wait until sessions that leave after so many seconds are gone; return how long it took and who is left."""

    loop, sessions = asyncio.get_running_loop(), Sessions(10)
    for name, delay in leaving.items():
        each = session(name)
        sessions.add(each)
        loop.call_later(delay, sessions.discard, each, 1000)
    began = loop.time()
    await sessions.wait_gone(timeout)
    took, left = loop.time() - began, len(sessions)
    await asyncio.sleep(100)
    return round(took, 3), left


def test_sessions_are_kept_until_they_are_discarded() -> None:
    sessions, first, second = Sessions(10), session("a"), session("b")
    sessions.add(first)
    sessions.add(second)
    assert (len(sessions), set(sessions)) == (2, {first, second})
    sessions.discard(first, 1000)
    sessions.discard(first, 1000)
    assert list(sessions) == [second]


async def test_waiting_ends_with_the_last_one() -> None:
    assert await wait_for_sessions({"a": 1, "b": 3}, timeout=10) == (3, 0)


async def test_waiting_gives_up_at_its_time() -> None:
    assert await wait_for_sessions({"a": 1, "b": 30}, timeout=10) == (10, 1)


@pytest.mark.parametrize("turns", range(5))
async def test_a_wait_that_is_cancelled_as_the_last_one_goes_is_cancelled(turns: int) -> None:
    sessions, last = Sessions(10), session("a")
    sessions.add(last)
    waiting = asyncio.create_task(sessions.wait_gone(10))
    await asyncio.sleep(1)
    sessions.discard(last, 1000)
    for _ in range(turns):
        await asyncio.sleep(0)
    too_late = not waiting.cancel()
    await asyncio.wait({waiting})
    assert too_late or waiting.cancelled()


async def test_waiting_without_sessions_ends_at_once() -> None:
    assert await wait_for_sessions({}, timeout=10) == (0, 0)


async def test_a_negative_timeout_ends_at_once() -> None:
    assert await wait_for_sessions({"a": 1}, timeout=-1) == (0, 1)
