"""The requests of new connections, each of which takes its time."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from crosswire.core.limits import Limits
from crosswire.runtime import environment
from crosswire.runtime.flusher import Flusher
from crosswire.transport.interface import Acceptor, HttpRequest, Response
from crosswire.transport.listener_context import ListenerContext
from crosswire.transport.pending_handshakes import PendingHandshakes
from crosswire.transport.picows_handshake import HandshakeProtocol
from crosswire.transport.read_turns import LONG_TURN
from tests.support.aio import wait_until


class FakeTransport:
    """Transport that records whether it reads, and what is sent."""

    def __init__(self) -> None:
        self.reading = True
        self.closed = False
        self.sent = b""

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write(self, data: bytes) -> None:
        self.sent += data

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> object:
        return None


class Bench:
    """New connections, and an acceptor that needs half of a turn for each request."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.context = ListenerContext(Limits(), Flusher())
        self.handshakes = PendingHandshakes(10.0)
        monkeypatch.setattr(environment, "perf_counter", lambda: self.now)

    def connect(self) -> tuple[HandshakeProtocol, FakeTransport]:
        protocol = HandshakeProtocol(cast(Acceptor, self), self.context, self.handshakes)
        transport = FakeTransport()
        protocol.connection_made(cast(asyncio.Transport, transport))
        return protocol, transport

    def accept(self, request: HttpRequest) -> Response:
        self.now += LONG_TURN / 2
        self.asked.append(request.target)
        return Response(404, b"")


async def test_of_many_requests_that_come_at_once_each_turn_of_the_loop_decides_about_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch)
    connections = [bench.connect() for _ in range(5)]
    for number, (protocol, _) in enumerate(connections):
        protocol.data_received(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
    assert bench.asked == ["/0", "/1"]
    assert [transport.reading for _, transport in connections] == [True, True, False, False, False]
    other, _ = bench.connect()
    await asyncio.sleep(0)
    assert bench.asked == ["/0", "/1", "/2"]
    other.data_received(b"GET /new HTTP/1.1\r\nHost: x\r\n\r\n")
    await wait_until(lambda: len(bench.asked) == 6)
    assert sorted(bench.asked) == ["/0", "/1", "/2", "/3", "/4", "/new"]
    assert all(transport.sent.startswith(b"HTTP/1.1 404") for _, transport in connections)
    bench.handshakes.close()


async def test_a_request_that_waits_for_its_turn_is_decided_whole_and_not_once_its_connection_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch)
    for number in range(2):
        bench.connect()[0].data_received(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
    in_parts, closed = bench.connect(), bench.connect()
    in_parts[0].data_received(b"GET /par")
    in_parts[0].data_received(b"ts HTTP/1.1\r\nHost: x\r\n\r\n")
    closed[0].data_received(b"GET /closed HTTP/1.1\r\nHost: x\r\n\r\n")
    closed[0].close()
    await wait_until(lambda: not bench.context.read_turns)
    assert bench.asked == ["/0", "/1", "/parts"]
    assert in_parts[1].reading
    bench.handshakes.close()


async def test_no_more_of_a_request_waits_than_its_head_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    for number in range(2):
        bench.connect()[0].data_received(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
    large, transport = bench.connect()
    large.data_received(b"GET /" + b"x" * Limits().header_size)
    assert transport.sent.startswith(b"HTTP/1.1 414")
    assert not bench.context.read_turns
    bench.handshakes.close()
