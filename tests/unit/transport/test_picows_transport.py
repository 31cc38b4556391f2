from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import pytest

from crosswire.transport.grown_buffers import GrownBuffers
from crosswire.transport.picows_parser import FrameParsers
from crosswire.transport.picows_reader import PicowsReader, ReadConnection
from crosswire.transport.picows_transport import PicowsTransport
from crosswire.transport.read_turns import ReadTurns


class FakeTransport:
    """An event loop's transport that keeps all that it is given, over a real socket."""

    def __init__(self, own: socket.socket, *, tls: bool = False) -> None:
        self._info = {"socket": own, "ssl_object": object() if tls else None, "peername": ("peer", 1)}
        self.kept = bytearray()
        self.closing = False
        self.calls: list[str] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._info.get(name, default)

    def get_write_buffer_size(self) -> int:
        return len(self.kept)

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        """Leave what comes to the kernel."""

    def resume_reading(self) -> None:
        """What is read is discarded."""

    def write(self, data: bytes) -> None:
        self.kept += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Keep as much as before."""

    def close(self) -> None:
        self.closing = True
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def can_write_eof(self) -> bool:
        self.calls.append("can_write_eof")
        return False

    def leave(self, own: socket.socket) -> None:
        """Send what is kept, as the event loop would."""
        own.sendall(bytes(self.kept))
        self.kept.clear()


class Waits:
    def __init__(self) -> None:
        self.number = 0
        self.direct: int | None = None

    def allow_direct(self, fd: int) -> None:
        self.direct = fd

    def forbid_direct(self) -> None:
        self.direct = None

    def bytes_wait(self) -> None:
        self.number += 1


SocketPair = tuple[socket.socket, socket.socket]


@pytest.fixture
def sockets() -> Iterator[SocketPair]:
    own, peer = socket.socketpair()
    own.setblocking(False)
    peer.settimeout(5)
    with own, peer:
        yield own, peer


def make_transport(transport: FakeTransport, waits: Waits | None = None) -> PicowsTransport:
    loops_transport, connection = cast(asyncio.Transport, transport), cast(ReadConnection, None)
    reader = PicowsReader(loops_transport, connection, FrameParsers(1000), ReadTurns(), GrownBuffers())
    return PicowsTransport(loops_transport, reader, waits or Waits())


def read(peer: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        data += peer.recv(size - len(data))
    return bytes(data)


def test_bytes_leave_at_once_if_the_kernel_takes_them(sockets: SocketPair) -> None:
    transport = FakeTransport(sockets[0])
    make_transport(transport).write_frames(b"hello")
    assert read(sockets[1], 5) == b"hello"
    assert not transport.kept


def test_bytes_that_the_transport_keeps_leave_first(sockets: SocketPair) -> None:
    own, peer = sockets
    transport = FakeTransport(own)
    picows_transport = make_transport(transport)
    transport.write(b"HTTP/1.1 101 ")
    picows_transport.write_frames(b"frame")
    assert picows_transport.waiting == 18
    transport.leave(own)
    picows_transport.write_frames(b" next")
    assert read(peer, 23) == b"HTTP/1.1 101 frame next"


def test_a_partial_write_keeps_the_order(sockets: SocketPair) -> None:
    own, peer = sockets
    transport, waits = FakeTransport(own), Waits()
    picows_transport, much = make_transport(transport, waits), bytes(index % 251 for index in range(4 * 1024 * 1024))
    picows_transport.write_frames(much)
    assert 0 < len(transport.kept) < len(much), "the kernel took a part"
    picows_transport.write_frames(b"second")
    assert waits.number == 2
    own.setblocking(True)
    taken = len(much) - len(transport.kept) + 6
    got = read(peer, taken)
    own.settimeout(5)
    rest = bytes(transport.kept)
    assert got + rest == much + b"second"


def test_others_may_write_to_the_socket_while_the_kernel_has_taken_all(sockets: SocketPair) -> None:
    own, peer = sockets
    transport, waits = FakeTransport(own), Waits()
    picows_transport = make_transport(transport, waits)
    assert waits.direct is None
    picows_transport.write_frames(b"taken")
    assert waits.direct == own.fileno()
    picows_transport.write_frames(bytes(4 * 1024 * 1024))
    assert waits.direct is None
    kept = len(transport.kept)
    own.settimeout(5)
    read(peer, 5 + 4 * 1024 * 1024 - kept)
    transport.kept.clear()
    picows_transport.write_frames(b"taken again")
    assert waits.direct == own.fileno()


def test_nothing_is_lost_when_the_kernel_takes_nothing(sockets: SocketPair) -> None:
    own, _ = sockets
    with suppress(BlockingIOError):
        while True:
            own.send(bytes(65536))
    transport = FakeTransport(own)
    make_transport(transport).write_frames(b"later")
    assert transport.kept == b"later"


def test_nothing_is_written_to_a_connection_that_is_closing(sockets: SocketPair) -> None:
    own, peer = sockets
    transport = FakeTransport(own)
    picows_transport = make_transport(transport)
    transport.closing = True
    picows_transport.write_frames(b"too late")
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(1)
    assert not transport.kept


def test_writing_to_a_lost_connection_does_not_raise(sockets: SocketPair) -> None:
    own, peer = sockets
    transport = FakeTransport(own)
    peer.close()
    make_transport(transport).write_frames(b"hello?")
    assert not transport.kept


def test_a_lost_connection_is_dropped_if_nothing_is_read_that_would_tell(sockets: SocketPair) -> None:
    own, peer = sockets
    transport = FakeTransport(own)
    peer.close()
    picows_transport = make_transport(transport)
    picows_transport.pause_reading()
    picows_transport.write_frames(b"hello?")
    assert transport.calls == ["abort"]


def test_with_tls_the_transport_writes(sockets: SocketPair) -> None:
    transport = FakeTransport(sockets[0], tls=True)
    make_transport(transport).write_frames(b"secret")
    assert transport.kept == b"secret"


def test_a_connection_that_is_gone_is_not_half_closed(sockets: SocketPair) -> None:
    transport = FakeTransport(sockets[0])
    picows_transport = make_transport(transport)
    picows_transport.half_close()
    assert transport.calls == ["can_write_eof", "close"]
    picows_transport.closed()
    picows_transport.half_close()
    assert transport.calls == ["can_write_eof", "close"]


@pytest.mark.parametrize("kept", [b"", b"the end of a former response"])
def test_it_tells_at_the_beginning_whether_others_may_write_to_the_socket(sockets: SocketPair, kept: bytes) -> None:
    transport = FakeTransport(sockets[0])
    transport.write(kept)
    picows_transport = make_transport(transport)
    assert picows_transport.begin() == (-1 if kept else sockets[0].fileno())
    picows_transport.write_frames(b"frame")
    assert bytes(transport.kept) == (kept + b"frame" if kept else b"")
