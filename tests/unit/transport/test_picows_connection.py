"""What a connection makes of its frames, however they are cut into reads."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from contextlib import suppress
from typing import Protocol, cast

from hypothesis import example, given
from hypothesis import strategies as st

from crosswire.core.limits import Limits
from crosswire.runtime.flusher import Flusher
from crosswire.transport.interface import Connection
from crosswire.transport.listener_context import ListenerContext
from crosswire.transport.picows_connection import PicowsConnection
from crosswire.transport.picows_reader import PicowsReader
from crosswire.transport.picows_transport import PicowsTransport
from crosswire.transport.socket_poller import SocketPoller
from crosswire.transport.socket_transport import SocketTransport
from crosswire.types import Close
from tests.support.aio import wait_until
from tests.support.loop_transport import FakeTransport

MAX_MESSAGE = 300
ABORTED = Close(4001, "asked for")
MASK = b"\x37\xfa\x21\x3d"


class EventReceiver:
    """Receiver that records what arrives, and does what some texts ask for."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self._connection: Connection

    def opened(self, connection: Connection) -> None:
        self._connection = connection

    def text(self, text: str) -> None:
        self.events.append(text)
        connection = self._connection
        if text == "pause":
            connection.pause_reading()
            asyncio.get_running_loop().call_soon(connection.resume_reading)
        elif text == "close":
            connection.close(4000, "asked for")
        elif text == "abort":
            connection.abort(ABORTED)
        elif text == "fail":
            raise ValueError("on purpose")

    def binary(self, data: bytes) -> None:
        self.events.append(data)

    def pong(self, payload: bytes) -> None:
        self.events.append(("pong", payload))

    def held_back(self, limit: str) -> None:
        raise AssertionError(f"there is no rate: {limit}")

    def closed(self, close: Close) -> None:
        self.events.append(close)


class ConnectionToRead:
    """A connection over a pair of sockets, whose reads a test makes."""

    def __init__(self, own: socket.socket, context: ListenerContext) -> None:
        self.transport = FakeTransport(own)
        self.receiver = EventReceiver()
        loops_transport = cast(asyncio.Transport, self.transport)
        connection = PicowsConnection(self.receiver, context, deflate=False)
        self.reader = PicowsReader(
            loops_transport, connection, context.parsers, context.read_turns, context.grown_buffers
        )
        connection.open(PicowsTransport(loops_transport, self.reader, connection), b"answer")

    async def read(self, data: bytes) -> None:
        """Read so many bytes as soon as reading is not paused, unless the connection ends."""
        while data:
            await wait_until(lambda: self.transport.reading or self.transport.closing)
            if self.transport.closing:
                return
            view = self.reader.get_buffer(-1)
            size = min(len(view), len(data))
            view[:size], data = data[:size], data[size:]
            self.reader.buffer_updated(size)

    @property
    def is_done(self) -> bool:
        return self.reader.is_reading or self.transport.closing

    def end(self) -> None:
        self.reader.connection_lost(None)


class PolledConnection:
    """A connection that reads by itself from one end of a pair of sockets, when a poller tells it to."""

    def __init__(self, own: socket.socket, peer: socket.socket, context: ListenerContext) -> None:
        self._own, self._peer = own, peer
        self._poller = SocketPoller()
        self.receiver = EventReceiver()
        connection = PicowsConnection(self.receiver, context, deflate=False)
        self.transport = transport = SocketTransport(own, "", self._poller, asyncio.Protocol())
        transport.begin()
        self.reader = PicowsReader(transport, connection, context.parsers, context.read_turns, context.grown_buffers)
        transport.set_protocol(self.reader)
        connection.open(PicowsTransport(transport, self.reader, connection), b"answer")

    async def read(self, data: bytes) -> None:
        """Send so many bytes, and wait until they are read, or the connection has ended."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._peer.sendall(data)
        await wait_until(lambda: self.transport.is_closing() or not self._unread)

    @property
    def _unread(self) -> int:
        (size,) = struct.unpack("i", fcntl.ioctl(self._own, termios.FIONREAD, b"\0" * 4))
        return int(size)

    @property
    def is_done(self) -> bool:
        return self.reader.is_reading or self.transport.is_closing()

    def end(self) -> None:
        self.transport.abort()
        self._poller.end()


class ReadableConnection(Protocol):
    """Connection whose reads a test makes."""

    receiver: EventReceiver

    async def read(self, data: bytes) -> None:
        """Read so many bytes."""

    @property
    def is_done(self) -> bool:
        """Whether all that was read is handed over."""
        ...

    def end(self) -> None:
        """Let the connection be lost."""


async def outcome(reads: list[bytes], *, is_polled: bool = False) -> tuple[list[object], bytes]:
    """Return what a connection receives by these reads, and what it sends unless it is aborted."""
    own, peer = socket.socketpair()
    with own, peer:
        own.setblocking(False)
        context = ListenerContext(Limits(max_message=MAX_MESSAGE), Flusher())
        under_test: ReadableConnection = (
            PolledConnection(own, peer, context) if is_polled else ConnectionToRead(own, context)
        )
        await asyncio.sleep(0)  # the answer leaves
        for data in reads:
            await under_test.read(data)
        await wait_until(lambda: under_test.is_done)
        for _ in range(3):  # turns, of what is called at the end of one
            await asyncio.sleep(0)
        under_test.end()
        events = under_test.receiver.events
        await wait_until(lambda: bool(events) and isinstance(events[-1], Close))
        if not is_polled:  # else it is closed
            own.shutdown(socket.SHUT_WR)
        sent = b""
        with suppress(ConnectionResetError):  # it has not read all
            while data := peer.recv(1 << 16):
                sent += data
        return events, b"" if events[-1] == ABORTED else sent


def masked(first: int, payload: bytes, *, length_bytes: int = 0) -> bytes:
    """Return a masked frame with that first byte; ``length_bytes`` is how its length is encoded, 0 for the shortest."""
    size = len(payload)
    if not length_bytes and size > 125:
        length_bytes = 2
    marks = {0: size, 2: 126, 8: 127}
    header = bytes((first, 0x80 | marks[length_bytes])) + (size.to_bytes(length_bytes, "big") if length_bytes else b"")
    return header + MASK + bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))


def text(payload: str) -> bytes:
    return masked(0x81, payload.encode())


texts = st.one_of(
    st.text(max_size=20).map(text),
    st.integers(100, 270).map(lambda size: text("t" * size)),
    st.sampled_from(["", "pause", "ü" * 60, "t" * 125, "t" * 126, "t" * MAX_MESSAGE]).map(text),
)
"""Whole text messages, as nearly all frames are."""
others = st.sampled_from(
    [
        text("close"),
        text("abort"),
        text("fail"),
        text("t" * (MAX_MESSAGE + 1)),
        masked(0x81, b"\xff"),
        masked(0x81, "ü".encode()[:1]),
        masked(0x81, b"length of two bytes", length_bytes=2),
        masked(0x81, b"length of eight bytes", length_bytes=8),
        masked(0x82, b"binary"),
        masked(0x82, b"binary" * 25),
        masked(0x01, b"begun "),
        masked(0x00, b"continued "),
        masked(0x80, b"ended"),
        masked(0x80, b"e" * 200),
        masked(0x89, b"ping"),
        masked(0x8A, b"pong"),
        masked(0x88, b""),
        masked(0x88, b"\x03\xe8bye"),
        masked(0xC1, b"compressed"),
        masked(0xC1, b"compressed" * 15),
        masked(0xA1, b"reserved"),
        masked(0x91, b"reserved"),
        masked(0x83, b"no opcode"),
        b"\x81\x04bare",
        b"\x81",
        b"\x81\xfe\x01",
        b"\x81\xff" + b"\xff" * 8,
    ]
)
"""Frames that are something else, or are refused, or make the receiver do something."""


@given(
    frames=st.lists(st.one_of(texts, texts, texts, texts, others), max_size=14),
    sizes=st.lists(st.integers(1, 1200), max_size=8),
)
@example(frames=[text("one"), text("pause"), text("two"), text("close"), text("three")], sizes=[])
@example(frames=[text("t" * 120)] * 6 + [masked(0x81, b"\xff"), text("behind")], sizes=[300, 600])
@example(frames=[text("fail"), text("behind")], sizes=[])
@example(frames=[masked(0x82, b"binary" * 25)], sizes=[])
@example(frames=[masked(0xC1, b"compressed" * 15)], sizes=[])
@example(frames=[masked(0x01, b"begun"), masked(0x80, b"e" * 200)], sizes=[])
@example(frames=[masked(0x01, b"begun "), text("within"), masked(0x80, b"ended"), text("behind")], sizes=[])
@example(
    frames=[masked(0x01, b"a "), masked(0x80, b"b"), text("behind"), masked(0x89, b"p"), text("t" * 200)], sizes=[]
)
def test_frames_mean_the_same_however_they_are_cut_into_reads(frames: list[bytes], sizes: list[int]) -> None:
    data = b"".join(frames)
    reads, rest = list[bytes](), data
    for size in sizes:
        reads.append(rest[:size])
        rest = rest[size:]
    by_bytes = [data[index : index + 1] for index in range(len(data))]
    expected = asyncio.run(outcome(by_bytes))
    assert asyncio.run(outcome([*reads, rest])) == expected
    assert asyncio.run(outcome([*reads, rest], is_polled=True)) == expected


async def test_the_end_of_a_connection_that_comes_with_a_message_is_noticed_behind_it() -> None:
    own, peer = socket.socketpair()
    own.setblocking(False)
    with own:
        under_test = PolledConnection(own, peer, ListenerContext(Limits(), Flusher()))
        with peer:
            peer.sendall(text("last"))
        await wait_until(lambda: len(under_test.receiver.events) == 2)
        assert under_test.receiver.events[0] == "last"
        assert isinstance(under_test.receiver.events[1], Close)
        under_test.end()


async def test_messages_that_do_not_fit_into_one_read_are_all_received() -> None:
    own, peer = socket.socketpair()
    own.setblocking(False)
    with own, peer:
        under_test = PolledConnection(own, peer, ListenerContext(Limits(), Flusher()))
        payloads = [f"{number:03}" * 20 for number in range(200)]
        await under_test.read(b"".join(text(payload) for payload in payloads))
        await wait_until(lambda: under_test.receiver.events == payloads)
        under_test.end()
        await wait_until(lambda: under_test.transport.get_protocol() is not under_test.reader)
