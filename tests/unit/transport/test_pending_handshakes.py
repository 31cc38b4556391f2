from __future__ import annotations

import asyncio

import pytest

from crosswire.transport.pending_handshakes import PendingHandshakes
from tests.support.aio import wait_until


class Fake:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def abort(self) -> None:
        self.calls.append("abort")

    def close(self) -> None:
        self.calls.append("close")


async def test_only_handshakes_that_take_too_long_are_dropped() -> None:
    handshakes, slow, quick, later = PendingHandshakes(0.05), Fake(), Fake(), Fake()
    handshakes.add(slow)
    handshakes.add(quick)
    handshakes.discard(quick)
    handshakes.discard(quick)
    await wait_until(lambda: slow.calls)
    handshakes.add(later)
    await wait_until(lambda: later.calls)
    assert (slow.calls, quick.calls, later.calls) == (["abort"], [], ["abort"])


async def test_no_handshake_is_dropped_early() -> None:
    loop, handshakes = asyncio.get_running_loop(), PendingHandshakes(0.1)
    first, second, third = Fake(), Fake(), Fake()
    handshakes.add(first)
    await wait_until(lambda: first.calls)
    began = loop.time()
    handshakes.add(second)
    handshakes.add(third)
    await wait_until(lambda: third.calls)
    assert loop.time() - began >= 0.09


@pytest.mark.parametrize("number", [0, 3])
async def test_every_handshake_is_ended_once(number: int) -> None:
    handshakes, all_there_are = PendingHandshakes(0.01), [Fake() for _ in range(number)]
    for each in all_there_are:
        handshakes.add(each)
    handshakes.close()
    handshakes.close()
    await asyncio.sleep(0.03)
    assert [each.calls for each in all_there_are] == [["close"]] * number
