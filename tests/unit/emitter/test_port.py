from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from crosswire.cluster.redis.commands import channel_of
from crosswire.core.envelopes import HEADER_SIZE, unpack_header
from crosswire.emitter.port import EmitterPort
from crosswire.emitter.publisher import Outgoing, Publisher
from crosswire.errors import BusUnavailable

ORIGIN = b"8 bytes."


class FakePublisher:
    """Publishes on all channels but those that fail."""

    def __init__(self) -> None:
        self.failing: set[bytes] = set()
        self.published: list[tuple[bytes, int, int]] = []

    def publish(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            if message.channel in self.failing:
                raise BusUnavailable("it fails")
            message.receivers = 3
            body = message.command[message.command.index(ORIGIN) - 1 :]
            origin, number, previous = unpack_header(body[:HEADER_SIZE])
            assert (origin, channel_of(message.command)) == (ORIGIN, message.channel)
            self.published.append((message.channel, number, previous))


def port_of(publisher: FakePublisher) -> EmitterPort:
    return EmitterPort(cast(Publisher, publisher), ORIGIN)


def test_messages_are_published_together_with_their_numbers() -> None:
    port = port_of(publisher := FakePublisher())
    for channel in (b"a", b"b", b"a"):
        port.publish(channel, b"body")
    assert publisher.published == []
    assert port.flush() == [3, 3, 3]
    assert publisher.published == [(b"a", 1, 0), (b"b", 2, 0), (b"a", 3, 1)]
    assert port.flush() == []


def test_receivers_are_not_told_of_messages_that_were_not_published() -> None:
    port = port_of(publisher := FakePublisher())
    for channel in (b"a", b"b"):
        port.publish(channel, b"body")
    port.flush()
    publisher.failing = {b"b"}
    for channel in (b"a", b"b"):
        port.publish(channel, b"body")
    with pytest.raises(BusUnavailable):
        port.flush()
    publisher.failing.clear()
    port.publish(b"a", b"given up")
    port.discard()
    for channel in (b"a", b"b"):
        port.publish(channel, b"body")
    port.flush()
    assert publisher.published[2:] == [(b"a", 3, 1), (b"a", 6, 0), (b"b", 7, 0)]
