"""WebSocket connections accepted with picows, over TCP, TLS or a Unix socket.

picows parses and unmasks frames, in C. What it leaves to its user is done here: joining fragments, UTF-8, the close
reply, reserved bits, permessage-deflate, bounded output.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from crosswire.core.assembler import Assembler, decode_text
from crosswire.core.deflate import decompress
from crosswire.core.frames import Opcode, close_payload, encode_frame
from crosswire.errors import ProtocolFailure
from crosswire.transport.interface import Receiver
from crosswire.transport.outbox import Flusher, Outbox
from crosswire.types import Close, CloseCode, Limits

_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_CLOSE, _PING, _PONG = WSMsgType.CLOSE, WSMsgType.PING, WSMsgType.PONG


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections of a listener have in common.

    Attributes:
        limits: the server's.
        flusher: the event loop's.
    """

    limits: Limits
    flusher: Flusher


class PicowsConnection(WSListener):
    """One WebSocket; see ``Connection`` in interface.py."""

    __slots__ = ("_assembler", "_close", "_deflate", "_outbox", "_receiver", "_shared", "_transport", "push")

    def __init__(self, receiver: Receiver, shared: Shared, *, deflate: bool) -> None:
        self._receiver = receiver
        self._shared = shared
        self._deflate = deflate
        self._assembler: Assembler | None = None
        self._close: Close | None = None
        self._transport: WSTransport
        self._outbox: Outbox
        self.push: Callable[[bytes], None]

    # What the server asks of a connection.

    def ping(self, payload: bytes) -> None:
        """Send a Ping."""
        self._outbox.push(encode_frame(Opcode.PING, payload))

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake."""
        if self._close is None:
            self._finish(Close(code, reason), code)
            asyncio.get_running_loop().call_later(self._shared.limits.close_timeout, self._transport.disconnect, False)

    def abort(self, close: Close) -> None:
        """Drop the connection."""
        if self._close is None:
            self._close = close
        self._outbox.discard()
        self._transport.disconnect(False)

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        return self._outbox.buffered

    # What picows tells.

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is done."""
        self._transport = transport
        _forget_headers(transport)
        limit = self._shared.limits.outbox
        self._outbox = Outbox(transport.underlying_transport, self._shared.flusher, limit, self._too_slow)
        self.push = self._outbox.push
        self._receiver.opened(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame."""
        if self._close is not None or transport.is_close_frame_sent:
            if frame.msg_type == _CLOSE:
                transport.disconnect()
            return
        kind = frame.msg_type
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
        self._outbox.discard()
        self._receiver.closed(self._close or _close_of_picows(transport))

    def pause_writing(self) -> None:
        """The kernel and the write buffer are full."""
        self._outbox.pause()

    def resume_writing(self) -> None:
        """There is room again."""
        self._outbox.resume()

    # How a frame is taken that is not a whole text message.

    def _take(self, kind: WSMsgType, frame: WSFrame) -> None:
        compressed = bool(frame.rsv1)
        if frame.rsv2 or frame.rsv3 or (compressed and not (self._deflate and kind in (_TEXT, _BINARY))):
            raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "a reserved bit that was not negotiated")
        payload = frame.get_payload_as_bytes()
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
        close = Close(CloseCode.NO_STATUS if code is None else code, payload[2:].decode("utf-8", "replace"))
        self._finish(close, code)
        self._outbox.flush()
        self._transport.disconnect()
        asyncio.get_running_loop().call_later(self._shared.limits.close_timeout, self._transport.disconnect, False)

    def _fail(self, failure: ProtocolFailure) -> None:
        self.close(failure.close_code, failure.reason)
        self._outbox.flush()
        self._transport.disconnect()

    def _finish(self, close: Close, code: int | None) -> None:
        self._close = close
        reason = "" if code is None else close.reason
        self._outbox.push(encode_frame(Opcode.CLOSE, close_payload(code, reason)))
        self._outbox.seal()

    def _too_slow(self) -> None:
        self.abort(Close(CloseCode.TRY_AGAIN_LATER, f"more than {self._shared.limits.outbox} bytes were waiting"))


def _forget_headers(transport: WSTransport) -> None:
    """Drop picows' own copy of the header fields: the receiver has them, and a connection may last for days."""
    del transport.request.headers, transport.response.headers


def _close_of_picows(transport: WSTransport) -> Close:
    """How a connection ended that we did not close: picows refuses broken frames by itself."""
    sent = getattr(transport.close_handshake, "sent", None)  # both are None until there is something to tell
    if sent is None:
        return Close(CloseCode.ABNORMAL, "the connection was lost")
    return Close(int(sent.code), sent.reason or "")
