from __future__ import annotations

import asyncio

import pytest

from crosswire.transport.pending_handshakes import PendingHandshakes
from tests.support.aio import wait_until


class FakeHandshake:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def abort(self) -> None:
        self.calls.append("abort")

    def close(self) -> None:
        self.calls.append("close")


async def test_only_handshakes_that_take_too_long_are_aborted() -> None:
    handshakes, slow, quick, later = PendingHandshakes(0.05), FakeHandshake(), FakeHandshake(), FakeHandshake()
    handshakes.add(slow)
    handshakes.add(quick)
    handshakes.discard(quick)
    handshakes.discard(quick)
    await wait_until(lambda: slow.calls)
    handshakes.add(later)
    await wait_until(lambda: later.calls)
    assert (slow.calls, quick.calls, later.calls) == (["abort"], [], ["abort"])


async def test_no_handshake_is_aborted_early() -> None:
    loop, handshakes = asyncio.get_running_loop(), PendingHandshakes(0.1)
    first, second, third = FakeHandshake(), FakeHandshake(), FakeHandshake()
    handshakes.add(first)
    await wait_until(lambda: first.calls)
    began = loop.time()
    handshakes.add(second)
    handshakes.add(third)
    await wait_until(lambda: third.calls)
    assert loop.time() - began >= 0.09


@pytest.mark.parametrize("number", [0, 3])
async def test_all_are_closed_once(number: int) -> None:
    handshakes, pending = PendingHandshakes(0.01), [FakeHandshake() for _ in range(number)]
    for each in pending:
        handshakes.add(each)
    handshakes.close()
    handshakes.close()
    await asyncio.sleep(0.03)
    assert [each.calls for each in pending] == [["close"]] * number
