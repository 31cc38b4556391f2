from __future__ import annotations

import asyncio

import pytest

from crosswire.transport.openings import Openings
from tests.support.aio import wait_until


class Fake:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def drop(self) -> None:
        self.calls.append("drop")

    def end(self) -> None:
        self.calls.append("end")


async def test_what_takes_too_long_is_dropped_and_nothing_else() -> None:
    openings, slow, quick, later = Openings(0.05), Fake(), Fake(), Fake()
    openings.add(slow)
    openings.add(quick)
    openings.discard(quick)
    openings.discard(quick)
    await wait_until(lambda: slow.calls)
    openings.add(later)
    await wait_until(lambda: later.calls)
    assert (slow.calls, quick.calls, later.calls) == (["drop"], [], ["drop"])


async def test_nobody_is_dropped_early() -> None:
    loop, openings = asyncio.get_running_loop(), Openings(0.1)
    first, second, third = Fake(), Fake(), Fake()
    openings.add(first)
    await wait_until(lambda: first.calls)
    began = loop.time()
    openings.add(second)
    openings.add(third)
    await wait_until(lambda: third.calls)
    assert loop.time() - began >= 0.09


@pytest.mark.parametrize("number", [0, 3])
async def test_all_are_ended_once(number: int) -> None:
    openings, all_there_are = Openings(0.01), [Fake() for _ in range(number)]
    for each in all_there_are:
        openings.add(each)
    openings.end()
    openings.end()
    await asyncio.sleep(0.03)
    assert [each.calls for each in all_there_are] == [["end"]] * number
