"""Reads from the event loop's transport: nearly always one whole text message, and else what picows makes of it."""

from __future__ import annotations

import asyncio
import sys
from typing import Protocol

from crosswire.core.frames import CLOSE_BYTE, TEXT_BYTE, frame_size, whole_close
from crosswire.runtime import environment
from crosswire.runtime.log_records import get_logger
from crosswire.transport.grown_buffers import GrownBuffers
from crosswire.transport.outbox import Outbox
from crosswire.transport.picows_parser import INITIAL_ROOM, WITHOUT_GROWTH, FrameParser, FrameParsers
from crosswire.transport.piece_reader import LONGEST_HEADER, PieceReader, PieceReceiver
from crosswire.transport.read_rate import ReadRate
from crosswire.transport.read_turns import ReadTurns
from crosswire.transport.socket_poller import READABLE
from crosswire.transport.socket_transport import SocketReader, SocketTransport

FAST_READ = 256
"""Bytes of a read that is handed over whole: so few can't be much work."""
_MASKED_LENGTH = 0x80 - 6
"""Difference of the second byte of a short masked frame and the size of the frame, whose header has 6 bytes."""
_LONGEST_SHORT = 6 + 125
"""Bytes of the largest such frame. The second byte of a larger one tells how its length is encoded, not its size."""
_SHORT_TEXTS = tuple(
    int.from_bytes(bytes((TEXT_BYTE, _MASKED_LENGTH + size)), sys.byteorder) if size >= 6 else -1
    for size in range(_LONGEST_SHORT + 1)
)
"""First two bytes of a masked text message that is one short frame, as one number, by the size of the frame."""
_MASKED_LENGTH_16 = 0x80 + 126
"""Second byte of a masked frame whose length is encoded in the two bytes behind it; its header has 8 bytes."""

logger = get_logger("crosswire.transport")


class ReadConnection(PieceReceiver, Protocol):
    """Connection that a reader reads for."""

    @property
    def outbox(self) -> Outbox:
        """Frames that wait to be sent on it, such as the answers that a read has caused."""
        ...

    def close_frame(self, payload: bytes) -> None:
        """Receive the payload of a Close frame that came alone."""

    def pause_writing(self) -> None:
        """Hold frames back: the transport is full."""

    def resume_writing(self) -> None:
        """Write again: there is room."""


class PicowsReader(SocketReader):
    """Protocol of a WebSocket, between the event loop's transport and picows' parser.

    Small reads of whole frames go through the parser that all connections share, so that a connection that waits for
    its next message has no buffer at all. Of other reads a :class:`PieceReader` takes care, which is made for the first
    of them.

    Args:
        transport: the event loop's.
        connection: gets what is read.
        parsers: of all connections.
        turns: of all connections.
        grown_buffers: of all connections.
        rate: of the messages and bytes that are read, or None if there is no limit.
    """

    __slots__ = ("_connection", "_grown_buffers", "_is_lost", "_parsers", "_pieces", "_polled", "_transport", "_turns")

    def __init__(
        self,
        transport: asyncio.Transport,
        connection: ReadConnection,
        parsers: FrameParsers,
        turns: ReadTurns,
        grown_buffers: GrownBuffers,
        rate: ReadRate | None = None,
    ) -> None:
        self._transport = transport
        self._connection = connection
        self._parsers = parsers
        self._turns = turns
        self._grown_buffers = grown_buffers
        self._is_lost = False
        self._pieces: PieceReader | None = None
        self._polled: SocketTransport
        if rate is not None:
            self._take_pieces(rate)

    def start(self, rest: bytes) -> None:
        """Read ``rest``, which came with the request."""
        if rest:
            self._take_pieces().receive(memoryview(rest))

    # SocketReader

    def read_from(self, transport: SocketTransport) -> None:
        self._polled = transport

    def ready(self, events: int) -> bool:
        """Read from the socket, and hand over a whole text message: one function from the event to the receiver."""
        connection = self._connection
        pieces = self._pieces
        if (
            events != READABLE
            or not connection.takes_texts
            or (pieces is not None and (pieces.parser is not None or not pieces.is_direct or pieces.is_paused))
        ):
            return self._polled.ready(events)
        parser = self._parsers.shared or self._parsers.prepare()
        try:
            size = self._polled.own.recv_into(parser.view)
        except OSError as error:
            self._polled.reading_failed(error)
            return False
        if parser.head[0] != _SHORT_TEXTS[size] if size <= _LONGEST_SHORT else not _has_long_text(parser.view, size):
            if not size:
                self._polled.end_of_reading()
                return False
            self._read_shared(parser, size)
            if size == INITIAL_ROOM:
                self._polled.read_again()
            return True
        parse = parser.buffer_updated  # a function in a slot: called at once, Python would look for a method
        parse(size)
        text, parser.text = parser.text, None
        if text is None:
            self._settle_without_text(parser)
            return True
        try:
            connection.receiver.text(text)
        except Exception:
            logger.exception("a connection is closed, as receiving a message failed")
            connection.failed()
        return True

    def ready_alone(self, events: int) -> bool:
        """Do the same, and flush what that has caused, if reads are the only ones of their turns."""
        outbox = self._connection.outbox
        flusher = outbox.flusher
        if flusher.lone_reads <= 0:
            return self.ready(events)
        flusher.begin_read()
        try:
            return self.ready(events)
        finally:
            flusher.end_read(outbox)

    def fail(self, error: BaseException) -> None:
        self._polled.fail(error)

    # asyncio.BufferedProtocol

    def get_buffer(self, sizehint: int) -> memoryview:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self._pieces is None:
            return (self._parsers.shared or self._parsers.prepare()).view
        return self._pieces.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Hand over what was read: a whole text message at once, with as few calls as possible."""
        connection = self._connection
        flusher = connection.outbox.flusher
        is_alone = flusher.lone_reads > 0
        if is_alone:
            flusher.begin_read()
        try:
            pieces = self._pieces
            if pieces is not None and (pieces.parser is not None or not pieces.is_direct):
                pieces.buffer_updated(nbytes)
                return
            parser = self._parsers.shared or self._parsers.prepare()
            view = parser.view
            is_text = (
                parser.head[0] == _SHORT_TEXTS[nbytes] if nbytes <= _LONGEST_SHORT else _has_long_text(view, nbytes)
            )
            if not (is_text and connection.takes_texts):
                self._read_shared(parser, nbytes)
                return
            parse = parser.buffer_updated  # a function in a slot: called at once, Python would look for a method
            parse(nbytes)
            text, parser.text = parser.text, None
            if text is None:
                self._settle_without_text(parser)
                return
            try:
                connection.receiver.text(text)
            except Exception:
                logger.exception("a connection is closed, as receiving a message failed")
                connection.failed()
        finally:
            if is_alone:
                flusher.end_read(connection.outbox)

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end of the connection on, behind what arrived before."""
        connection, self._is_lost = self._connection, True
        del self._connection  # it refers to us: without the cycle both are freed now, not by the garbage collector
        del self._transport  # as does one of the event loop, over TLS
        connection.outbox.forbid_direct()  # at once: the number of the socket may soon be another's
        if self._pieces is None:
            connection.lost()
        else:
            self._pieces.connection_lost()

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    # What the connection calls

    @property
    def unparsed(self) -> int:
        """Number that changes with every part of a frame that arrives, or has its turn."""
        return 0 if self._pieces is None else self._pieces.unparsed

    @property
    def is_reading(self) -> bool:
        """Whether the transport reads, and so notices the end of the connection."""
        return self._pieces is None or self._pieces.is_reading

    @property
    def is_held_back(self) -> bool:
        """Whether something that has arrived is not handed over yet, as the connection is over its rate."""
        return self._pieces is not None and self._pieces.is_held_back

    def pause(self) -> None:
        """Read nothing more, and hand nothing over, until :meth:`resume`."""
        if not self._is_lost:
            self._take_pieces().pause()

    def resume(self) -> None:
        """Read again, and hand over what has been read in a later turn of the event loop."""
        if self._pieces is not None:
            self._pieces.resume()

    def discard(self) -> None:
        """Discard what has been read, and what is read from now on."""
        if self._pieces is not None or not self._is_lost:
            self._take_pieces().discard()

    def discard_held(self) -> None:
        """Discard what has been read and not handed over: the transport, which is being closed, reads no more.

        Nearly always there is nothing, as the Close frame came alone.
        """
        shared = self._parsers.shared
        is_read_now = shared is not None and not self._is_lost and shared.connection is self._connection
        if self._pieces is not None or is_read_now:
            self._take_pieces().discard()

    # Reads that are no whole text message

    def _read_shared(self, parser: FrameParser, size: int) -> None:
        """Hand over a read between two frames: at once if it is small, or the messages have taken no time so far."""
        connection, view = self._connection, parser.view
        if view[0] == CLOSE_BYTE and (payload := whole_close(bytes(view[:size]))) is not None:
            connection.close_frame(payload)  # past the parser, which would be of no use afterwards
            return
        pieces = self._pieces
        if size <= FAST_READ:
            self._parse_shared(parser, size)
        elif pieces is not None and size <= pieces.piece:
            began = environment.perf_counter()
            self._parse_shared(parser, size)
            pieces.adapt(environment.perf_counter() - began)
        elif size <= WITHOUT_GROWTH and size == frame_size(view[:LONGEST_HEADER]):
            self._parse_shared(parser, size)
        else:
            self._take_pieces().buffer_updated(size)  # more than one frame, or one that might let the buffer grow

    def _parse_shared(self, parser: FrameParser, size: int) -> None:
        """Parse a read with the shared parser; take it along if another frame has begun in it."""
        try:
            parser.parse(size, self._connection)
        except BaseException:
            pieces = self._take_pieces()
            pieces.discard()
            pieces.keep_shared()
            raise
        if (self._pieces is not None and not self._pieces.is_direct) or len(parser.get_buffer(-1)) != INITIAL_ROOM:
            self._take_pieces().keep_shared()
        else:
            parser.connection = None

    def _settle_without_text(self, parser: FrameParser) -> None:
        """Close the connection if the message was none, and else take the parser, in which it has only begun."""
        if parser.is_invalid:
            parser.is_invalid = False
            self._connection.invalid_text()
            return
        refusal, parser.refusal = parser.refusal, None
        self._take_pieces().keep_shared()
        if refusal is not None:
            self._connection.refuse(refusal)

    def _take_pieces(self, rate: ReadRate | None = None) -> PieceReader:
        if self._pieces is None:
            self._pieces = PieceReader(
                self._transport, self._connection, self._parsers, self._turns, self._grown_buffers, rate
            )
        return self._pieces


def _has_long_text(view: memoryview, size: int) -> bool:
    """Return whether a read of more than a short text message is a whole longer one that lets no buffer grow."""
    if size > WITHOUT_GROWTH or view[0] != TEXT_BYTE or view[1] != _MASKED_LENGTH_16:
        return False
    return size == (view[2] << 8 | view[3]) + 8
