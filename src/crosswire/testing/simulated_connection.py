"""The client's end of a simulated connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import Context
from functools import partial
from typing import Protocol
from zlib import crc32

from crosswire.core.frame_reader import Frame, FrameReader
from crosswire.core.frames import Opcode, close_payload
from crosswire.core.messages import SERVER_HEADER
from crosswire.testing.simulated_stream import SimulatedStream
from crosswire.transport.client_connection import ClientReceiver, ConnectTarget
from crosswire.transport.inbox import Answer, parse_close
from crosswire.transport.memory_transport import MemoryTransport
from crosswire.types import Close, CloseCode


class Note(Protocol):
    """Adds a line to the trace."""

    def __call__(self, text: str, *, routine: bool = False) -> None:
        """Add a line; see :meth:`~crosswire.testing.trace.Trace.add`."""


MAX_SHOWN = 200
"""Characters of a message that are shown in the trace."""
_LOST = Close(CloseCode.ABNORMAL, "the connection was lost")


class SimulatedConnection:
    """Connection of a client to a server of a simulation; an ``OpenConnection``.

    Args:
        client: name of the client.
        server: name of the server.
        receiver: gets what arrives.
        target: what the client connects to.
        up: carries frames to the server.
        down: carries bytes to the client.
        note: adds a line to the trace.

    Attributes:
        client, server, up, down: as given.
        over: whether the client's end is closed.
        subprotocol, announces: see ``OpenConnection``.
    """

    def __init__(
        self,
        client: str,
        server: str,
        receiver: ClientReceiver,
        target: ConnectTarget,
        up: SimulatedStream,
        down: SimulatedStream,
        note: Note,
    ) -> None:
        self.client, self.server = client, server
        self.over = False
        self.up, self.down = up, down
        self.subprotocol: str | None = None
        self.announces = False
        self._receiver = receiver
        self._target = target
        self._note = note
        self._transport: MemoryTransport | None = None
        self._frames = FrameReader()
        self._taken: Callable[[int], None] = lambda count: None
        self._paused = False
        self._arrived = self._seen = 0
        self._close: Close | None = None  # as far as it is known, from the beginning of the end
        self._timer: asyncio.TimerHandle | None = None

    # The upgrade

    def accepted(self, transport: MemoryTransport, subprotocol: str | None, headers: Mapping[str, str]) -> None:
        """Note what the server has answered to the request."""
        self._transport = transport
        self.subprotocol = subprotocol
        self.announces = SERVER_HEADER in headers

    def open(self) -> None:
        """Begin to use the connection; the server's answer has come."""
        self._note(f"{self.client} is connected to {self.server}")
        self._receiver.opened(self)

    def give_up(self) -> None:
        """Drop a connection that did not open; the server is told if it has accepted it."""
        self.over = True
        self.down.cut()
        self.up.send(self._reset_server)

    # OpenConnection

    @property
    def ending(self) -> Close | None:
        """Close code and reason, as far as they are known; None while the connection is open."""
        return self._close

    def send_text(self, data: bytes) -> bool:
        """Send a text message; return whether it was taken."""
        return self._send(Opcode.TEXT, data)

    def send_binary(self, data: bytes) -> bool:
        """Send a binary message; return whether it was taken."""
        return self._send(Opcode.BINARY, data)

    def ask(self, data: bytes) -> None:
        """Send a text message that the server answers."""
        self.send_text(data)
        self._seen = self._arrived

    def moved(self) -> bool:
        """Return whether bytes arrived since the last call of this method or of :meth:`ask`."""
        before, self._seen = self._seen, self._arrived
        return self._arrived > before

    def pause(self) -> None:
        """Stop reading; the server is held back then."""
        self._paused = True

    def resume(self) -> None:
        """Read from the server again."""
        if self._paused:
            self._paused = False
            asyncio.get_running_loop().call_soon(self._read)

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake, after the messages that were sent before."""
        if self._close is None:
            self._send(Opcode.CLOSE, close_payload(code, reason))
            self._close = Close(code, reason)
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._target.close_timeout, self.abort, self._close)

    def abort(self, close: Close) -> None:
        """Drop the connection without waiting for anything."""
        self._close = close
        if self.over:
            return
        self._note(f"{self.client} drops its connection to {self.server}")
        self.up.send(self._reset_server)
        self.down.cut()
        self._end()

    # The network

    def cut(self) -> None:
        """Reset both ends, as when a router forgets the connection."""
        self.up.cut()
        self.down.cut()
        self.up.send(self._reset_server)
        self.server_lost()

    def server_lost(self) -> None:
        """Reset the client's end, as the server's process is gone."""
        self.down.cut()
        self.down.send(self.lost)

    def arrived(self, data: bytes) -> None:
        """Take bytes that the server sent."""
        self._arrived += len(data)
        self._frames.feed(data)
        self._read()

    def lost(self) -> None:
        """Note that the server has closed the connection, or that it was cut."""
        if not self.over:
            self._close = self._close or _LOST
            self._end()

    # Internals

    def _reset_server(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _send(self, opcode: Opcode, payload: bytes) -> bool:
        if self._close is not None or self._transport is None:
            return False
        self.up.send(partial(self._to_server, self._transport, opcode, payload))
        return True

    def _to_server(self, transport: MemoryTransport, opcode: Opcode, payload: bytes) -> None:
        self._note(f"{self.client} -> {self.server}: {shown(opcode, payload)}", routine=is_routine(opcode, payload))
        transport.receive(opcode, payload)

    def _read(self) -> None:
        while not self._paused and not self.over and (frame := self._frames.next()) is not None:
            self._taken(len(frame.payload))
            text = f"{self.server} -> {self.client}: {shown(frame.opcode, frame.payload)}"
            self._note(text, routine=is_routine(frame.opcode, frame.payload))
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self._send(Opcode.PONG, frame.payload)
        elif frame.opcode is Opcode.CLOSE:
            if self._close is None:
                self._send(Opcode.CLOSE, frame.payload[:2])
                self._close = parse_close(frame.payload)
        elif self._close is not None or frame.opcode is Opcode.PONG:
            return
        elif frame.opcode is Opcode.TEXT:
            self._receiver.text(frame.payload.decode())
        else:
            self._receiver.binary(frame.payload)

    def _end(self) -> None:
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        asyncio.get_running_loop().call_soon(self._closed)

    def _closed(self) -> None:
        close = self._close or _LOST
        self._note(f"{self.client} is disconnected from {self.server}: {close.code} {close.reason}".rstrip())
        self._receiver.closed(close)

    # The server's side of what it sends

    def inbox(self, context: Context, answer: Answer, drained: Callable[[], None]) -> DownstreamInbox:
        """Make what the server's end sends to; see ``MakeInbox``."""
        inbox = DownstreamInbox(self, context, drained)
        self._taken = inbox.taken
        return inbox


class DownstreamInbox:
    """Bytes that a server has sent on a connection and the client has not read; a ``PeerInbox``.

    Args:
        connection: the client's end.
        context: of the server.
        drained: called when the client has read something.

    Attributes:
        unread: bytes that are on their way, or wait for the client.
    """

    def __init__(self, connection: SimulatedConnection, context: Context, drained: Callable[[], None]) -> None:
        self._connection = connection
        self._context = context
        self._drained = drained
        self.unread = 0

    def feed(self, data: bytes) -> None:
        """Send bytes to the client."""
        self.unread += len(data)
        self._connection.down.send(partial(self._connection.arrived, data))

    def end(self) -> None:
        """Send the end of the connection, after all bytes."""
        self._connection.down.send(self._connection.lost)

    def taken(self, count: int) -> None:
        """Note that the client has read a frame with a payload of that length."""
        header = 2 if count < 126 else 4 if count < 1 << 16 else 10
        self.unread -= header + count
        asyncio.get_running_loop().call_soon(self._drained, context=self._context)


def is_routine(opcode: Opcode, payload: bytes) -> bool:
    """Return whether a frame is sent all the time: heartbeats and Pings."""
    return opcode in (Opcode.PING, Opcode.PONG) or not payload


def shown(opcode: Opcode, payload: bytes) -> str:
    """Return a frame as text for the trace."""
    if opcode is Opcode.TEXT:
        return _shortened(payload.decode() or "(heartbeat)")
    if opcode is Opcode.CLOSE:
        close = parse_close(payload)
        return f"close {close.code} {close.reason}".rstrip()
    return f"{opcode.name.lower()} {_shortened(payload.hex())}".rstrip()


def _shortened(text: str) -> str:
    """Return text, or its beginning with the length and a checksum."""
    if len(text) <= MAX_SHOWN:
        return text
    return f"{text[:MAX_SHOWN]}... ({len(text)} characters, {crc32(text.encode()):08x})"
