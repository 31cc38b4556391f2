"""The client side of a WebSocket: the sans-I/O protocol of ``websockets`` over asyncio's own transports.

``websockets`` does the HTTP upgrade, the frames and the closing handshake. This file owns the TCP connection, joins
fragments within limits, and bounds what waits to be sent.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame
from websockets.frames import Opcode as FrameType
from websockets.http11 import Request, Response
from websockets.protocol import SEND_EOF, State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI, parse_uri

from crosswire.core.assembler import Assembler, decode_text
from crosswire.core.frames import Opcode
from crosswire.core.messages import SERVER_HEADER
from crosswire.errors import NotConnected, ProtocolFailure, Refused, is_final
from crosswire.runtime.dialing import dial
from crosswire.runtime.log_records import get_logger
from crosswire.transport.open_connection import OpenConnection
from crosswire.transport.tcp_progress import TcpProgress
from crosswire.types import Close, CloseCode

_protocol_logger = get_logger("crosswire.transport.client")
_protocol_logger.setLevel(logging.INFO)  # at DEBUG, it would show the request and all messages, with their tokens

MAX_FRAGMENTS = 128 * 1024
"""Fragments of one message; high, because a server may stream a message in small pieces."""
MAX_BATCH = 64 * 1024
"""Bytes of messages that are held until the end of the loop's turn; more leave at once."""

_DATA = frozenset({FrameType.TEXT, FrameType.BINARY, FrameType.CONT})


@dataclass(frozen=True, slots=True)
class ConnectTarget:
    """Address of a server, with the options and limits of a connection to it.

    Args:
        url: a valid ``ws://`` or ``wss://`` URL.
        headers: fields added to the upgrade request; ``Host`` replaces the one made from the URL.
        subprotocols: offered to the server, the favourite first.
        tls: for ``wss://``; None for the system's certificate authorities.
        max_message: bytes of one received message; over it, closed with 1009.
        outbox: bytes that may wait for a server that does not read fast enough; over it the connection is dropped.
        close_timeout: seconds to wait for the server's part of the closing handshake; then the connection is dropped.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    subprotocols: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    max_message: int = 16 * 1024 * 1024
    outbox: int = 16 * 1024 * 1024
    close_timeout: float = 5


class ClientReceiver(Protocol):
    """Callbacks for what arrives on a client's connection. None is called before ``opened`` or after ``closed``."""

    def opened(self, connection: OpenConnection) -> None:
        """Begin to use a connection; the upgrade is done."""

    def text(self, text: str) -> None:
        """Receive a whole text message."""

    def binary(self, data: bytes) -> None:
        """Receive a whole binary message."""

    def closed(self, close: Close) -> None:
        """Note that the connection is gone; called once, if ``opened`` was."""


Connect = Callable[[ConnectTarget, ClientReceiver], Awaitable[OpenConnection]]
"""Opens a connection, as :func:`connect` does."""


async def connect(target: ConnectTarget, receiver: ClientReceiver) -> ClientConnection:
    """Open a connection. There is no timeout: the caller cancels it.

    Returns:
        The open connection; ``receiver.opened`` has been called, and messages may have been received already.

    Raises:
        Refused: the server answered with an HTTP status other than 101.
        NotConnected: it can't be reached, or does not speak the protocol.
    """
    uri = parse_uri(target.url)
    where = f"{'wss' if uri.secure else 'ws'}://{uri.host}:{uri.port}"
    connection = ClientConnection(uri, target, receiver)
    security = (target.tls or ssl.create_default_context()) if uri.secure else None
    try:
        await dial(lambda: connection, uri.host, uri.port, security)
        failure = await connection.upgraded
    except OSError as error:
        raise NotConnected(f"can't connect to {where}: {error}") from error
    except BaseException:
        connection.abort(Close(CloseCode.ABNORMAL, "given up while connecting"))
        raise
    if failure is None:
        return connection
    connection.abort(Close(CloseCode.ABNORMAL, "the upgrade failed"))
    if isinstance(failure, InvalidStatus):
        raise _refusal(failure.response.status_code) from failure
    raise NotConnected(f"can't connect to {where}: {failure}") from failure


def _refusal(status: int) -> Refused:
    return Refused(CloseCode.POLICY if is_final(status) else CloseCode.ABNORMAL, f"HTTP {status}", status=status)


class _ClientProtocol(ClientProtocol):
    """Protocol that takes a Close inside a fragmented message too (RFC 6455, section 5.4), not as an error."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is FrameType.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class ClientConnection(asyncio.Protocol):
    """Connection to a server. None of its methods waits, and none raises for a server that is gone.

    Attributes:
        upgraded: done when the upgrade is, with None or with the error that prevented it.
        announces: whether the server's response says that it will tell when the client is let in.
    """

    def __init__(self, uri: WebSocketURI, target: ConnectTarget, receiver: ClientReceiver) -> None:
        self._loop = asyncio.get_running_loop()
        self._target = target
        self._receiver = receiver
        self._protocol = _ClientProtocol(
            uri,
            subprotocols=[Subprotocol(name) for name in target.subprotocols] or None,
            max_size=target.max_message,
            logger=_protocol_logger,
        )
        self._assembler = Assembler(target.max_message, MAX_FRAGMENTS)
        self._transport: asyncio.Transport | None = None
        self._batched = 0
        self._flush_due = False
        self._progress = TcpProgress()
        self._aborted: Close | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self.upgraded: asyncio.Future[Exception | None] = self._loop.create_future()
        self.announces = False

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose, or None."""
        return self._protocol.subprotocol

    @property
    def ending(self) -> Close | None:
        """Close code and reason, as far as they are known; None while the connection is open."""
        if self._usable:
            return None
        return self._aborted or self._ending(None)

    def send_text(self, data: bytes) -> bool:
        """Send a text message, given as UTF-8. Messages of one loop turn leave together.

        Returns:
            Whether it was taken; not if the connection is closing or gone.
        """
        if not self._usable:
            return False
        self._protocol.send_text(data)
        self._flush_later(len(data))
        return True

    def send_binary(self, data: bytes) -> bool:
        """Send a binary message; otherwise as :meth:`send_text`."""
        if not self._usable:
            return False
        self._protocol.send_binary(data)
        self._flush_later(len(data))
        return True

    def ask(self, data: bytes) -> None:
        """Send a text message that the server answers. Then :meth:`moved` shows whether the connection still works."""
        if self.send_text(data) and self._transport is not None:
            self._flush()
            self._progress.asked(self._transport)

    def moved(self) -> bool:
        """Return whether bytes moved since the last call of this method or of :meth:`ask`.

        Bytes that arrive count, and bytes that leave if they were sent before the message of :meth:`ask`.
        """
        return self._transport is not None and self._progress.moved(self._transport)

    def pause(self) -> None:
        """Stop reading; the network then holds the server back."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read from the server again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake, after the messages that were sent before."""
        if self._usable:
            self._protocol.send_close(code, reason)
            self._flush()
            self._drop_later()

    def abort(self, close: Close) -> None:
        """Drop the connection without waiting for anything; ``closed`` of the receiver gets ``close``.

        The server gets a Close frame if ``close`` has a code that may be sent and the network takes it at once.
        """
        if self._usable:
            self._aborted = close
            self._protocol.fail(close.code, close.reason)
            self._flush()
        self._aborted = self._aborted or close
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request for the upgrade."""
        self._transport = cast(asyncio.Transport, transport)
        self._protocol.send_request(self._request())
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Parse bytes, and handle the frames in them."""
        self._progress.arrived += len(data)
        self._protocol.receive_data(data)
        self._handle_events()

    def eof_received(self) -> None:
        """Note that the server sends nothing more; the transport then closes itself."""
        self._protocol.receive_eof()
        self._handle_events()

    def connection_lost(self, exc: Exception | None) -> None:
        """Call ``closed`` of the receiver, or fail the upgrade."""
        if self._close_timer is not None:
            self._close_timer.cancel()
        if not self.upgraded.done():
            self.upgraded.set_result(self._protocol.handshake_exc or exc or ConnectionError("the connection was lost"))
        elif self._protocol.handshake_exc is None and not self.upgraded.cancelled():
            self._receiver.closed(self._aborted or self._ending(exc))

    # Receiving

    def _handle_events(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._on_frame(event)
            elif isinstance(event, Response):
                self._on_response(event)
        self._flush()
        if self._protocol.close_rcvd is not None or self._protocol.parser_exc is not None:
            self._disconnect()

    def _on_response(self, response: Response) -> None:
        if self.upgraded.done():
            return
        self.announces = SERVER_HEADER in response.headers
        failure = self._protocol.handshake_exc
        self.upgraded.set_result(failure)
        if failure is None:
            self._receiver.opened(self)

    def _on_frame(self, frame: Frame) -> None:
        if frame.opcode not in _DATA or self._aborted is not None:
            return
        try:
            message = self._message(frame)
        except ProtocolFailure as failure:
            self._fail(failure)
            return
        if isinstance(message, str):
            self._receiver.text(message)
        elif message is not None:
            self._receiver.binary(message)

    def _message(self, frame: Frame) -> str | bytes | None:
        payload = bytes(frame.data)
        if frame.opcode is FrameType.CONT:
            return self._assembler.add(payload, final=frame.fin)
        if not frame.fin:
            self._assembler.begin(Opcode(frame.opcode), payload)
            return None
        return decode_text(payload) if frame.opcode is FrameType.TEXT else payload

    def _fail(self, failure: ProtocolFailure) -> None:
        self._aborted = Close(failure.close_code, str(failure))
        self._protocol.fail(failure.close_code, str(failure))
        self._flush()
        self._disconnect()

    # Sending

    def _request(self) -> Request:
        request = self._protocol.connect()
        for name, value in self._target.headers.items():
            if name.lower() == "host":
                del request.headers["Host"]
            request.headers[name] = value
        return request

    @property
    def _usable(self) -> bool:
        return self._protocol.state is State.OPEN and self._aborted is None

    def _flush_later(self, size: int) -> None:
        self._batched += size
        if self._batched > MAX_BATCH:
            self._flush()
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._batched = 0
        self._flush_due = False
        writes = self._protocol.data_to_send()
        if not writes or self._transport is None or self._transport.is_closing():
            return
        # A single message that is larger than the limit is sent if nothing waits in front of it.
        if self._transport.get_write_buffer_size() > self._target.outbox:
            self._overflow()
            return
        data = b"".join(writes)
        self._progress.written += len(data)
        self._transport.write(data)
        if SEND_EOF in writes:
            self._disconnect()

    def _overflow(self) -> None:
        if self._aborted is None:
            reason = f"more than {self._target.outbox} bytes wait for a server that does not read"
            self.abort(Close(CloseCode.ABNORMAL, reason))

    # The end of the connection

    def _disconnect(self) -> None:
        """Close the TCP connection once the last frame has left, without waiting for the server's end."""
        if self._transport is not None:
            self._transport.close()
            self._drop_later()

    def _drop_later(self) -> None:
        if self._close_timer is None and self._transport is not None:
            self._close_timer = self._loop.call_later(self._target.close_timeout, self._transport.abort)

    def _ending(self, exc: Exception | None) -> Close:
        """Return the close of the side that began the closing handshake."""
        protocol = self._protocol
        frame = protocol.close_rcvd if protocol.close_rcvd_then_sent else protocol.close_sent
        if frame is None:
            return Close(CloseCode.ABNORMAL, str(exc) if exc else "the connection was lost")
        return Close(int(frame.code), frame.reason)
