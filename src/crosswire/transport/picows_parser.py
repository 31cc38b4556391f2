"""picows' parsers of frames, past its handling of the HTTP upgrade, lent to the connections that read."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Protocol

from picows import (
    WSAutoPingStrategy,
    WSFrame,
    WSListener,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)

# The server function of picows does not show the connection to the upgrade decision, which then lacks the peer's
# address, and it fails on a Unix socket. The protocol that it makes does neither; it is a C class without types.
from picows.picows import WSProtocol  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]

from crosswire.core.frames import TEXT_BYTE
from crosswire.runtime.log_records import get_logger
from crosswire.transport.picows_log import PICOWS_LOG

READ_BUFFER_SIZE = 2048
"""Bytes of picows' read buffer of a new parser."""
INITIAL_ROOM = READ_BUFFER_SIZE - 256
"""Bytes of it that picows fills."""
WITHOUT_GROWTH = INITIAL_ROOM - 257
"""Bytes of the largest read that does not let the buffer grow."""
ALIGNMENT = 64
"""Bytes that picows unmasks at once, where their address is a multiple of so many."""
ALIGNED_TRIES = 32
"""Parsers that are made at most until one has a buffer at such an address."""
IDLE_PARSERS = 64
"""Parsers that are kept for connections that need one of their own for a while; making one takes some 15 µs."""
_CLOSE_FRAME = 0x88
_REQUEST = (
    b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
"""The fields that picows reads, of a request of our own. A parser begins with one."""

logger = get_logger("crosswire.transport")


class TextReceiver(Protocol):
    """Receiver of the text messages of a connection."""

    def text(self, text: str) -> None:
        """Take a whole text message."""


class FrameReceiver(Protocol):
    """Connection that a parser reads for.

    Attributes:
        takes_texts: whether the receiver may get a text message that is known by its header: False in the middle of a
            message of several frames, and from the beginning of the closing handshake on.
    """

    takes_texts: bool

    @property
    def receiver(self) -> TextReceiver:
        """The receiver of a text message that is known by its header."""
        ...

    def invalid_text(self) -> None:
        """Close the connection, as a text message was no UTF-8."""

    def failed(self) -> None:
        """Close the connection, as receiving a message has failed."""

    def frame(self, frame: WSFrame) -> None:
        """Receive a frame; its payload has to be copied at once."""

    def refuse(self, payload: bytes) -> None:
        """Close the connection behind the message in front, with the payload of the Close that picows would send."""


class FrameParser(WSListener):
    """picows' parser with its two users, the listener and the transport, which are this object.

    picows makes a parser for one connection and its whole life. Between two frames it knows nothing of a connection,
    so here it is lent. picows parses a frame ahead: for a broken frame it sends a Close of its own before the message
    in front has been received, let alone answered. That Close is passed to the connection, which sends it in its turn.
    After it, and after a Close of the peer, a parser must not be lent again.

    Args:
        max_message: bytes of the longest frame.

    Attributes:
        connection: gets the frames; None while the parser is lent to nobody, and keeps what it is given to parse.
        text: the text message that it has kept.
        is_invalid: whether it was given one that is no UTF-8.
        refusal: what picows has refused meanwhile: the payload of the Close that it would send.
        get_buffer: of picows: returns a view of the free part of its buffer.
        buffer_updated: of picows: parses so many bytes of that view.
        view: the buffer's, while it is empty and has not grown.
        head: the first two bytes of the view as one number, in the order of the machine.
        is_aligned: whether the view begins at a multiple of :data:`ALIGNMENT`.
    """

    __slots__ = (
        "_filled",
        "_parser",
        "_start",
        "buffer_updated",
        "connection",
        "get_buffer",
        "head",
        "is_aligned",
        "is_invalid",
        "refusal",
        "text",
        "view",
    )

    def __init__(self, max_message: int) -> None:
        self.connection: FrameReceiver | None = None
        self.text: str | None = None
        self._filled = 0  # bytes that are parsed, if they begin with a frame at the beginning of the view
        self._start = 0  # of the next frame in the view
        self.is_invalid = False
        self.refusal: bytes | None = None
        self._parser = parser = _parser_of(self, max_message)
        parser.connection_made(self)
        self.get_buffer: Callable[[int], memoryview] = parser.get_buffer
        self.buffer_updated: Callable[[int], None] = parser.buffer_updated
        self.get_buffer(-1)[: len(_REQUEST)] = _REQUEST
        self.buffer_updated(len(_REQUEST))
        self.view: memoryview = self.get_buffer(-1)
        self.head = self.view.cast("H")
        self.is_aligned = ctypes.addressof(ctypes.c_char.from_buffer(self.view)) % ALIGNMENT == 0

    def parse(self, size: int, connection: FrameReceiver) -> None:
        """Parse so many bytes of the view for a connection; they begin with a frame, and let the buffer not grow."""
        self.connection = connection
        self._filled, self._start = size, 0
        parse = self.buffer_updated  # a function in a slot: called at once, Python would look for a method
        try:
            parse(size)
        finally:
            self._filled = 0

    def release(self) -> None:
        """Forget the connection, as what was read for it is done."""
        self.connection = None

    def end(self) -> None:
        """Let go of picows' parser, which has references to this object: without the cycle both are freed now."""
        self.connection = None
        del self._parser, self.get_buffer, self.buffer_updated, self.view, self.head

    # WSListener

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Pass a frame on to the connection, a whole text message right to the receiver; or keep its text.

        picows makes a member of an enum for the kind of a frame, which takes half as long as its parsing. So a whole
        text message, as nearly every frame is one, is known by its header, and only its text is asked for. All of it is
        one function, as several calls of a client often come in one read.
        """
        connection = self.connection
        if connection is None:
            try:
                self.text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                self.is_invalid = True
            return
        try:
            if self._filled:
                start, self._start = self._start, self._filled - frame.tail_size
                if self.view[start] == TEXT_BYTE and connection.takes_texts:  # not compressed either
                    try:
                        text = frame.get_payload_as_utf8_text()
                    except UnicodeDecodeError:
                        connection.invalid_text()
                    else:
                        connection.receiver.text(text)
                    return
            connection.frame(frame)
        except Exception:
            logger.exception("a connection is closed, as receiving a message failed")
            connection.failed()  # at once: picows would pass on what is behind it in the read

    # What picows calls of a transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a socket without options or number. picows asks for the addresses too, to log them."""
        return self if name == "socket" else default

    def fileno(self) -> int:
        return -1

    def setsockopt(self, *_args: object) -> None:
        """Ignore an option of the socket."""

    def getsockopt(self, *_args: object) -> int:
        return 0

    def get_write_buffer_size(self) -> int:
        """Return 1, never 0: with nothing to write picows would write to the socket directly."""
        return 1

    def write(self, data: bytes) -> None:
        """Pass a Close frame to the connection; the only other thing written is the answer to our request."""
        if data[0] != _CLOSE_FRAME:
            return
        payload = bytes(data[2:])
        if self.connection is None:
            self.refusal = payload
        else:
            self.connection.refuse(payload)

    def close(self) -> None:
        """Do nothing: a connection closes itself."""


class FrameParsers:
    """The parsers of a listener's connections.

    Nearly always a read has whole frames. Then one parser after the other is not needed, and a connection that waits
    for its next message has none: reads go through the shared one. A connection with a part of a frame takes it along,
    or has another one, until it has given it back.

    picows unmasks 64 bytes at once past the processor's caches, and it takes 0.2 microseconds until they can be read
    again. If the buffer is aligned, a frame has such bytes from a payload of 122 bytes on, else from one of 74, by
    where the buffer happens to be. So an aligned parser is looked for to be the shared one.

    Args:
        max_message: bytes of the longest frame.

    Attributes:
        shared: parser that reads for any connection that has none of its own; from :meth:`prepare` on.
    """

    __slots__ = ("_idle", "_max_message", "shared")

    def __init__(self, max_message: int) -> None:
        self._max_message = max_message
        self._idle: list[FrameParser] = []
        self.shared: FrameParser | None = None

    def prepare(self) -> FrameParser:
        """Return the shared parser, which is made here for the first connection: picows wants a running loop."""
        if self.shared is None:
            self.shared = self._make_aligned()
        return self.shared

    def take(self, connection: FrameReceiver) -> FrameParser:
        """Lend a parser to a connection."""
        parser = self._idle.pop() if self._idle else self._make()
        parser.connection = connection
        return parser

    def take_shared(self, connection: FrameReceiver) -> FrameParser:
        """Lend the shared parser to a connection, with what has been read into it; another one becomes the shared."""
        parser, self.shared = self.prepare(), self._idle.pop() if self._idle else self._make()
        parser.connection = connection
        return parser

    def give_back(self, parser: FrameParser) -> None:
        """Take a parser back that is between two frames and whose buffer has not grown."""
        shared = self.shared
        if parser.is_aligned and shared is not None and shared.connection is None and not shared.is_aligned:
            parser.release()
            parser, self.shared = shared, parser
        if len(self._idle) < IDLE_PARSERS:
            parser.release()
            self._idle.append(parser)
        else:
            parser.end()

    def _make(self) -> FrameParser:
        return FrameParser(self._max_message)

    def _make_aligned(self) -> FrameParser:
        """Return an aligned parser, or any if none is found."""
        made = [self._make()]  # kept meanwhile: else the next has the same place
        while not made[-1].is_aligned and len(made) < ALIGNED_TRIES:
            made.append(self._make())
        parser = made.pop()
        for other in made:
            other.end()
        return parser


def _parser_of(listener: WSListener, max_message: int) -> Any:
    response = WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(), listener)

    def grant(_request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        return response

    return WSProtocol(
        None,  # host and port: a client's
        None,  # path: a client's
        False,  # is_client_side
        grant,
        PICOWS_LOG,
        True,  # disconnect_on_exception
        None,  # websocket_handshake_timeout: the request has arrived
        False,  # enable_auto_ping: ours share one timer
        10,  # auto_ping_idle_timeout
        10,  # auto_ping_reply_timeout
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,  # enable_auto_pong: ours pass the outbox, which is bounded
        max_message,
        None,  # extra_headers: a client's
        READ_BUFFER_SIZE,
    )
