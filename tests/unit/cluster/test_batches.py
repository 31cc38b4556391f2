from __future__ import annotations

import pytest

from crosswire.cluster.batches import Batches
from crosswire.cluster.memory import MemoryBus
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.cluster.send_buffer import Overflow
from crosswire.core import envelopes
from crosswire.core.envelopes import NodeRequest
from tests.support.ignored_events import IgnoredPortEvents

REQUESTS = [
    envelopes.encode(NodeRequest("a", "0" * 16, f"call{number}", "ask", envelopes.pack(None))) for number in range(5)
]


def make_port(*, buffer: int, overflow: Overflow = "drop") -> OrderedPort:
    """Make the port of a node that can't reach others, so that messages wait, up to a limit."""
    bus = MemoryBus()
    bus.buffer = buffer
    bus.overflow = overflow
    return OrderedPort(bus, IgnoredPortEvents(), "a", b"12345678")


async def test_all_messages_of_a_batch_are_counted_as_published() -> None:
    batches = Batches(port := make_port(buffer=10_000))
    for request in REQUESTS:
        batches.add(b"c", request)
    batches.flush()
    assert port.published == 5
    await port.stop()
    assert port.dropped == 5


async def test_what_was_published_before_the_buffer_was_full_is_not_counted_as_dropped() -> None:
    batches = Batches(port := make_port(buffer=400_000, overflow="raise"))
    for _ in range(5):
        batches.add(b"c", b"x" * 100_000)  # as one they would be larger than a batch may be
    batches.flush()
    assert (port.published, batches.dropped) == (3, 2)
    await port.stop()


@pytest.mark.parametrize("overflow", ["drop", "raise"])
async def test_all_messages_of_a_batch_that_does_not_fit_in_are_counted_as_dropped(overflow: Overflow) -> None:
    batches = Batches(port := make_port(buffer=300, overflow=overflow))
    port.publish(b"c", b"x" * 200)
    for request in REQUESTS:
        batches.add(b"c", request)
    batches.flush()
    assert port.dropped + batches.dropped == 5
