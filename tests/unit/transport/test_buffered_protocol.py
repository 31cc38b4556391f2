from __future__ import annotations

import asyncio
from typing import cast

from crosswire.transport.buffered_protocol import feed_buffered_protocol


class FakeTransport:
    def __init__(self) -> None:
        self.protocol: object = None
        self.closing = False

    def get_protocol(self) -> object:
        return self.protocol

    def is_closing(self) -> bool:
        return self.closing


class FakeProtocol:
    """A protocol with a buffer of three bytes, which it is done with after ``wanted`` bytes."""

    def __init__(self, transport: FakeTransport, wanted: int = 100) -> None:
        self._buffer = bytearray(3)
        self._transport = transport
        self._wanted = wanted
        self.received = b""
        transport.protocol = self

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self.received += bytes(self._buffer[:nbytes])
        if len(self.received) >= self._wanted:
            self._transport.protocol = None


def test_bytes_are_fed_in_parts_that_fit_the_buffer() -> None:
    transport = FakeTransport()
    protocol = FakeProtocol(transport)
    feed_buffered_protocol(cast(asyncio.Transport, transport), protocol, b"12345678")
    assert protocol.received == b"12345678"


def test_feeding_stops_when_the_protocol_is_replaced() -> None:
    transport = FakeTransport()
    protocol = FakeProtocol(transport, wanted=6)
    feed_buffered_protocol(cast(asyncio.Transport, transport), protocol, b"12345678")
    assert protocol.received == b"123456"


def test_nothing_is_fed_once_the_transport_is_closing() -> None:
    transport = FakeTransport()
    protocol = FakeProtocol(transport)
    transport.closing = True
    feed_buffered_protocol(cast(asyncio.Transport, transport), protocol, b"12345678")
    assert protocol.received == b""
