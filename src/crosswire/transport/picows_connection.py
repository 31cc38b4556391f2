"""WebSocket connections accepted with picows, over TCP, TLS or a Unix socket.

picows parses and unmasks frames, in C. What it leaves to its user is done here: joining fragments, UTF-8, the close
reply, reserved bits, permessage-deflate, bounded output.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from crosswire.core.assembler import Assembler, decode_text
from crosswire.core.deflate import decompress
from crosswire.core.frames import Opcode, Push, close_payload, encode_frame
from crosswire.core.limits import Limits
from crosswire.errors import ProtocolFailure
from crosswire.runtime.notices import Notices
from crosswire.transport.interface import Receiver, Traffic
from crosswire.transport.outbox import Flusher, Outbox
from crosswire.transport.picows_transport import PicowsTransport
from crosswire.types import Close, CloseCode

_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_UNSENDABLE = (0, 1006)  # picows takes these; it refuses the others that RFC 6455, section 7.4, forbids
_FIRST_UNDEFINED = 5000
_CLOSE, _PING, _PONG = WSMsgType.CLOSE, WSMsgType.PING, WSMsgType.PONG


@dataclass(frozen=True, slots=True)
class ListenerContext:
    """What all connections of a listener have in common.

    Attributes:
        limits: the server's.
        flusher: of their outboxes.
        notices: of requests that are refused.
        secure: whether they are over TLS.
    """

    limits: Limits
    flusher: Flusher
    notices: Notices
    secure: bool


class PicowsConnection(WSListener):
    """One WebSocket; see ``Connection`` in interface.py."""

    __slots__ = (
        "_assembler",
        "_close",
        "_deadline",
        "_deflate",
        "_gate",
        "_outbox",
        "_parts",
        "_receiver",
        "_shared",
    )

    def __init__(self, receiver: Receiver, shared: ListenerContext, *, deflate: bool) -> None:
        self._receiver = receiver
        self._shared = shared
        self._deflate = deflate
        self._assembler: Assembler | None = None
        self._close: Close | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._parts = 0  # frames that came and were no message: fragments, Pings
        self._gate: PicowsTransport
        self._outbox: Outbox

    # What the server asks of a connection.

    @property
    def push(self) -> Push:
        """Queues one encoded frame."""
        return self._outbox.push

    def ping(self, payload: bytes) -> None:
        """Send a Ping."""
        self._outbox.push(encode_frame(Opcode.PING, payload))

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake."""
        if self._close is None:
            self._finish(Close(code, reason), code)

    def abort(self, close: Close) -> None:
        """Drop the connection."""
        if self._close is None:
            self._close = close
        self._outbox.discard()
        self._gate.abort()

    def pause_reading(self) -> None:
        """Read no more."""
        if self._close is None:
            self._gate.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._gate.resume_reading()

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        return self._outbox.buffered

    async def drained(self, below: int) -> bool:
        """Wait until fewer bytes wait to be sent."""
        return await self._outbox.drained(below)

    @property
    def traffic(self) -> Traffic:
        """How far bytes have come."""
        return Traffic((self._parts << 32) + self._gate.unparsed, self._gate.unsent)

    # What picows, the gate and the outbox tell.

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is done."""
        _forget_headers(transport)
        self._gate = cast(PicowsTransport, transport.underlying_transport)
        self._gate.opened(self)
        self._outbox = Outbox(self._gate, self._shared.flusher, self._shared.limits.outbox, self)
        self._receiver.opened(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame."""
        kind = frame.msg_type
        if self._close is not None:
            if kind == _CLOSE:
                self._gate.hang_up()
            return
        if kind == _TEXT and frame.fin and self._assembler is None and not (frame.rsv1 or frame.rsv2 or frame.rsv3):
            try:
                text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                self._fail(ProtocolFailure(CloseCode.INVALID_TEXT, "text that is no UTF-8"))
                return
            self._receiver.text(text)
            return
        try:
            self._take(kind, frame)
        except ProtocolFailure as failure:
            self._fail(failure)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is gone."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._outbox.discard()
        self._gate.closed()
        receiver = self._receiver
        del self._receiver  # it holds us: without this cycle a connection is freed when it ends, not when gc finds it
        self._close = self._close or Close(CloseCode.ABNORMAL, "the connection was lost")
        receiver.closed(self._close)

    def pause_writing(self) -> None:
        """The kernel and the write buffer are full."""
        self._outbox.pause()

    def resume_writing(self) -> None:
        """There is room again."""
        self._outbox.resume()

    def refuse(self, payload: bytes) -> None:
        """Close with what picows says of a broken frame, once the message in front of it was delivered."""
        failure = ProtocolFailure(int.from_bytes(payload[:2], "big"), payload[2:].decode("utf-8", "replace"))
        asyncio.get_running_loop().call_soon(self._fail, failure)

    def overflowed(self) -> None:
        """Drop a peer that does not read."""
        self.abort(Close(CloseCode.TRY_AGAIN_LATER, f"more than {self._shared.limits.outbox} bytes were waiting"))

    # How a frame is taken that is not a whole text message.

    def _take(self, kind: WSMsgType, frame: WSFrame) -> None:
        compressed = bool(frame.rsv1)
        if frame.rsv2 or frame.rsv3 or (compressed and not (self._deflate and kind in (_TEXT, _BINARY))):
            raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "a reserved bit that was not negotiated")
        payload = frame.get_payload_as_bytes()
        self._parts += 1
        if kind == _CLOSE:
            self._answer_close(payload)
        elif kind == _PING:
            self._outbox.push(encode_frame(Opcode.PONG, payload))
        elif kind == _PONG:
            self._receiver.pong(payload)
        elif kind == _CONTINUATION:
            self._continue(payload, bool(frame.fin))
        else:
            self._begin(Opcode.TEXT if kind == _TEXT else Opcode.BINARY, payload, bool(frame.fin), compressed)

    def _begin(self, opcode: Opcode, payload: bytes, final: bool, compressed: bool) -> None:
        if self._assembler is None and final:
            self._whole(opcode, payload, compressed)
            return
        if self._assembler is None:
            limits = self._shared.limits
            self._assembler = Assembler(limits.max_message, limits.fragments)
        self._assembler.begin(opcode, payload, compressed=compressed)

    def _continue(self, payload: bytes, final: bool) -> None:
        if self._assembler is None:
            raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "a continuation of nothing")
        message = self._assembler.add(payload, final=final)
        if message is None:
            return
        opcode, compressed = self._assembler.opcode, self._assembler.compressed
        self._assembler = None
        if isinstance(message, str):
            self._receiver.text(message)
        else:
            self._whole(opcode, message, compressed)

    def _whole(self, opcode: Opcode, payload: bytes, compressed: bool) -> None:
        if compressed:
            payload = decompress(payload, self._shared.limits.max_message)
        if opcode is Opcode.TEXT:
            self._receiver.text(decode_text(payload))
        else:
            self._receiver.binary(payload)

    # How a connection ends.

    def _answer_close(self, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big") if payload else None
        if code is not None and (code in _UNSENDABLE or code >= _FIRST_UNDEFINED):
            raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, f"the close code {code}, which must not be sent")
        reason = payload[2:].decode()  # picows has checked that it is UTF-8
        self._finish(Close(CloseCode.NO_STATUS if code is None else code, reason), code)
        self._outbox.resume()  # though the peer may not read yet: it is the last that leaves, and the gate keeps it
        self._gate.hang_up()

    def _fail(self, failure: ProtocolFailure) -> None:
        """Fail the connection (RFC 6455, section 7.1.7)."""
        if self._close is None:
            self._finish(Close(failure.close_code, failure.reason), failure.close_code)
        self._outbox.resume()  # as above
        self._gate.half_close()

    def _finish(self, close: Close, code: int | None) -> None:
        """Send a Close frame, the last one, and don't wait for the peer's for ever."""
        frame = encode_frame(Opcode.CLOSE, close_payload(code, "" if code is None else close.reason))
        self._close = close
        self._gate.resume_reading()  # the peer's own Close is waited for
        self._outbox.push(frame)
        self._outbox.seal()
        patience = self._shared.limits.close_timeout
        self._deadline = asyncio.get_running_loop().call_later(patience, self._gate.abort)


def _forget_headers(transport: WSTransport) -> None:
    """Drop picows' own copy of the header fields: the receiver has them, and a connection may last for days."""
    del transport.request.headers, transport.response.headers
