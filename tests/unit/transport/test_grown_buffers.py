"""Large read buffers are given back."""

from __future__ import annotations

from crosswire.transport.grown_buffers import SHRINK_INTERVAL, GrownBuffers
from tests.support import loops
from tests.support.aio import wait_until

pytestmark = loops.on_instant_loop


class Reader:
    """Reader whose buffer is in use for a number of attempts."""

    def __init__(self, in_use: int) -> None:
        self.in_use = in_use

    def shrink(self) -> bool:
        self.in_use -= 1
        return self.in_use < 0


async def test_buffers_are_given_back_when_they_are_no_longer_in_use() -> None:
    buffers = GrownBuffers()
    idle, busy, gone = Reader(0), Reader(2), Reader(10)
    for each in (idle, busy, gone, idle):
        buffers.add(each)
    assert len(buffers) == 3
    buffers.discard(gone)
    buffers.discard(gone)
    await wait_until(lambda: len(buffers) == 1, 2 * SHRINK_INTERVAL)
    assert busy.in_use == 1
    await wait_until(lambda: not buffers, 4 * SHRINK_INTERVAL)
    assert gone.in_use == 10
    buffers.add(idle)
    await wait_until(lambda: not buffers, 2 * SHRINK_INTERVAL)
