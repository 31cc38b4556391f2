"""WebSocket connections accepted with picows, over TCP, TLS or a Unix socket.

picows parses and unmasks frames, in C. Everything else is done here: joining fragments, UTF-8, the closing handshake,
reserved bits, permessage-deflate, bounded output.
"""

from __future__ import annotations

import asyncio

from picows import WSFrame, WSMsgType

from crosswire.core.assembler import Assembler, decode_text
from crosswire.core.deflate import decompress
from crosswire.core.formats import Offer
from crosswire.core.frames import Opcode, encode_frame
from crosswire.errors import ProtocolFailure
from crosswire.runtime.log_records import get_logger
from crosswire.transport.closing import ClosingHandshake, read_close
from crosswire.transport.interface import Receiver, TrafficSnapshot
from crosswire.transport.listener_context import ListenerContext
from crosswire.transport.outbox import Outbox
from crosswire.transport.picows_reasons import common_reason
from crosswire.transport.picows_transport import PicowsTransport
from crosswire.types import Close, CloseCode

logger = get_logger("crosswire.transport")

_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_CLOSE, _PING, _PONG = WSMsgType.CLOSE, WSMsgType.PING, WSMsgType.PONG


class PicowsConnection:
    """WebSocket that picows reads; a ``Connection``, see interface.py.

    Args:
        receiver: gets the messages.
        context: of the listener.
        deflate: whether messages may be compressed.

    Attributes:
        receiver: as given; until the connection is gone.
        takes_texts: whether a text message that was read whole goes right to the receiver.
        outbox: what waits to be sent; from :meth:`open` on.
    """

    __slots__ = (
        "__weakref__",
        "_assembler",
        "_closing",
        "_context",
        "_deflate",
        "_is_opening",
        "_parts",
        "_transport",
        "outbox",
        "receiver",
        "takes_texts",
    )

    framed = True
    can_ping = True

    def __init__(self, receiver: Receiver, context: ListenerContext, *, deflate: bool) -> None:
        self.receiver = receiver
        self._context = context
        self._deflate = deflate
        self._assembler: Assembler | None = None
        self._closing: ClosingHandshake | None = None
        self.takes_texts = True  # neither in the middle of a message nor closing
        self._is_opening = True
        self._parts = 0  # number of frames that were no message: fragments, Pings
        self._transport: PicowsTransport
        self.outbox: Outbox

    # Connection

    @property
    def offer(self) -> Offer:
        return self.outbox.offer

    @property
    def behind(self) -> bool:
        return self.outbox.behind

    def ping(self, payload: bytes) -> None:
        self.outbox.push(encode_frame(Opcode.PING, payload))

    def close(self, code: int, reason: str = "") -> None:
        if self._closing is None:
            self._start_closing(Close(code, reason), code)

    def abort(self, close: Close) -> None:
        if self._closing is None:
            self._begin_closing(close)
        if self._is_opening:
            self.outbox.write_all()  # the answer to the request
        self.outbox.discard()
        self._transport.abort()

    def pause_reading(self) -> None:
        if self._closing is None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def peer_has_left(self, *, half: bool) -> bool:
        return self._transport.peer_has_left(half=half)

    @property
    def buffered(self) -> int:
        return self.outbox.buffered

    async def drained(self, below: int) -> bool:
        return await self.outbox.drained(below)

    @property
    def traffic(self) -> TrafficSnapshot:
        transport = self._transport
        return TrafficSnapshot(
            (self._parts << 32) + transport.unparsed, transport.unsent, is_held_back=transport.is_held_back
        )

    def open(self, transport: PicowsTransport, answer: bytes) -> None:
        """Begin: the upgrade is granted.

        Args:
            transport: is written to.
            answer: to the request, which leaves in front of all else, and together with what is sent in this turn.
        """
        context = self._context
        self._transport = transport
        self.outbox = outbox = Outbox(transport, context.flusher, context.limits.outbox, self, context.slow_readers)
        if (fd := transport.begin()) >= 0:
            outbox.allow_direct(fd)
        outbox.push(answer)
        try:
            self.receiver.opened(self)
        except Exception:
            logger.exception("a connection is closed, as opening it failed")
            self._fail(_INTERNAL_ERROR)
        self._is_opening = False

    # ReadConnection

    def frame(self, frame: WSFrame) -> None:
        """Receive a message, or handle another frame."""
        kind = frame.msg_type
        if self._closing is not None:
            if kind is _CLOSE:
                self._closing.finish()
            return
        if kind is _TEXT and frame.fin and self._assembler is None and not (frame.rsv1 or frame.rsv2 or frame.rsv3):
            try:
                text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                self.invalid_text()
                return
            self.receiver.text(text)
            return
        try:
            self._handle_frame(kind, frame)
        except ProtocolFailure as failure:
            self._fail(failure)

    def invalid_text(self) -> None:
        """Close the connection, as a text message was no UTF-8."""
        self._fail(ProtocolFailure(CloseCode.INVALID_TEXT, "text that is no UTF-8"))

    def failed(self) -> None:
        """Close the connection, as receiving a message has failed."""
        self._transport.discard()
        self._fail(_INTERNAL_ERROR)

    def close_frame(self, payload: bytes) -> None:
        """Handle a Close frame that came past picows."""
        self._parts += 1
        if self._closing is not None:
            self._closing.finish()
            return
        try:
            self._answer_close(payload)
        except ProtocolFailure as failure:
            self._fail(failure)

    def refuse(self, payload: bytes) -> None:
        """Read nothing behind a broken frame, and end the connection behind the message in front of it."""
        self._transport.discard()
        reason = common_reason(payload[2:].decode("utf-8", "replace"))
        failure = ProtocolFailure(int.from_bytes(payload[:2], "big"), reason)
        asyncio.get_running_loop().call_soon(self._fail, failure)  # the message in front is still to be received

    def pause_writing(self) -> None:
        """Hold frames back: the kernel's buffer and the event loop's are full."""
        self.outbox.pause()

    def resume_writing(self) -> None:
        """Write again: there is room."""
        self.outbox.resume()

    def lost(self) -> None:
        """Call ``closed`` of the receiver: the connection is gone."""
        self.outbox.discard()
        self._transport.closed()
        receiver, closing = self.receiver, self._closing
        del self.receiver  # it refers to us: without the cycle both are freed now, not by the garbage collector
        if closing is not None:
            closing.end()
        try:
            receiver.closed(_LOST if closing is None else closing.close)
        except Exception:
            logger.exception("the end of a connection could not be handled")

    def held_back(self, limit: str) -> None:
        """Tell the receiver that the connection is read later, as it is over a rate."""
        if self._closing is None:
            self.receiver.held_back(limit)

    # TransportEvents

    def allow_direct(self, fd: int) -> None:
        self.outbox.allow_direct(fd)

    def forbid_direct(self) -> None:
        self.outbox.forbid_direct()

    def bytes_wait(self) -> None:
        self.outbox.watch()

    # OutboxEvents

    def overflowed(self) -> None:
        self.abort(self._context.overflow_close())

    def fell_behind(self) -> None:
        self.abort(self._context.slow_reader_close())

    # Frames other than a whole text message

    def _handle_frame(self, kind: WSMsgType, frame: WSFrame) -> None:
        compressed = bool(frame.rsv1)
        if frame.rsv2 or frame.rsv3 or (compressed and not (self._deflate and kind in (_TEXT, _BINARY))):
            raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "a reserved bit that was not negotiated")
        payload = frame.get_payload_as_bytes()
        self._parts += 1
        if kind == _CLOSE:
            self._answer_close(payload)
        elif kind == _PING:
            self.outbox.push(encode_frame(Opcode.PONG, payload))
        elif kind == _PONG:
            self.receiver.pong(payload)
        elif kind == _CONTINUATION:
            self._continue_message(payload, bool(frame.fin))
        else:
            self._begin_message(Opcode.TEXT if kind == _TEXT else Opcode.BINARY, payload, bool(frame.fin), compressed)

    def _begin_message(self, opcode: Opcode, payload: bytes, final: bool, compressed: bool) -> None:
        if self._assembler is None and final:
            self._receive_message(opcode, payload, compressed)
            return
        if self._assembler is None:
            limits = self._context.limits
            self._assembler = Assembler(limits.max_message, limits.fragments)
            self.takes_texts = False
        self._assembler.begin(opcode, payload, compressed=compressed)

    def _continue_message(self, payload: bytes, final: bool) -> None:
        if self._assembler is None:
            raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "a continuation of nothing")
        message = self._assembler.add(payload, final=final)
        if message is None:
            return
        opcode, compressed = self._assembler.opcode, self._assembler.compressed
        self._assembler = None
        self.takes_texts = self._closing is None
        if isinstance(message, str):
            self.receiver.text(message)
        else:
            self._receive_message(opcode, message, compressed)

    def _receive_message(self, opcode: Opcode, payload: bytes, compressed: bool) -> None:
        if compressed:
            payload = decompress(payload, self._context.limits.max_message)
        if opcode is Opcode.TEXT:
            self.receiver.text(decode_text(payload))
        else:
            self.receiver.binary(payload)

    # The end of the connection

    def _answer_close(self, payload: bytes) -> None:
        close = read_close(payload)
        self._begin_closing(close).answer(close.code if payload else None, self._context.limits.close_timeout)

    def _fail(self, failure: ProtocolFailure) -> None:
        closing = self._closing or self._start_closing(Close(failure.close_code, failure.reason), failure.close_code)
        closing.fail()

    def _start_closing(self, close: Close, code: int | None) -> ClosingHandshake:
        closing = self._begin_closing(close)
        closing.start(code, self._context.limits.close_timeout)
        return closing

    def _begin_closing(self, close: Close) -> ClosingHandshake:
        self._closing = closing = ClosingHandshake(close, self.outbox, self._transport)
        self.takes_texts = False
        return closing


_INTERNAL_ERROR = ProtocolFailure(CloseCode.INTERNAL_ERROR, "")
_LOST = Close(CloseCode.ABNORMAL, "the connection was lost")
