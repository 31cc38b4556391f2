"""The closing handshake of a WebSocket (RFC 6455, section 7), the same for every transport that carries frames."""

from __future__ import annotations

import asyncio
from typing import Protocol

from crosswire.core.assembler import decode_text
from crosswire.core.frames import Opcode, close_payload, encode_frame
from crosswire.errors import ProtocolFailure, may_be_sent
from crosswire.transport.outbox import Outbox
from crosswire.types import Close, CloseCode


class ClosableTransport(Protocol):
    """Transport below a WebSocket, as far as the end of the connection concerns it."""

    def resume_reading(self) -> None:
        """Read again: the peer's Close frame is awaited."""

    def hang_up(self) -> bool:
        """Close once everything has been sent; return whether that is so, and the end waits for nothing."""
        ...

    def half_close(self) -> None:
        """Send nothing more, and discard what the peer still sends."""

    def abort(self) -> None:
        """Close now, and discard what has not been sent."""


class ClosingHandshake:
    """End of one connection; made when the end begins.

    Args:
        close: code and reason, for ``closed`` of the receiver.
        outbox: takes the Close frame as its last one.
        transport: is closed after that.

    Attributes:
        close: as given.
    """

    __slots__ = ("_outbox", "_timer", "_transport", "close")

    def __init__(self, close: Close, outbox: Outbox, transport: ClosableTransport) -> None:
        self.close = close
        self._outbox = outbox
        self._transport = transport
        self._timer: asyncio.TimerHandle | None = None

    def start(self, code: int | None, timeout: float) -> None:
        """Send the Close frame, and drop the connection if the peer does not end it in time.

        Args:
            code: what the frame carries; None for an empty frame.
            timeout: seconds that the peer has.
        """
        self._send(code)
        self._limit_time(timeout)

    def answer(self, code: int | None, timeout: float) -> None:
        """Answer the Close frame of the peer, and close the transport, nearly always at once: then without a timer.

        Args:
            code: what the frame carries; None for an empty frame.
            timeout: seconds that the peer has to take what waits for it.
        """
        self._send(code)
        if not self.finish():
            self._limit_time(timeout)

    def finish(self) -> bool:
        """Close the transport: both Close frames are there. Ours still leaves, though the peer may not read yet.

        Returns:
            Whether all has been sent, and the end waits for nothing.
        """
        self._outbox.write_all()
        return self._transport.hang_up()

    def fail(self) -> None:
        """Fail the connection after the Close frame, without waiting for the peer's (RFC 6455, section 7.1.7)."""
        self._outbox.write_all()
        self._transport.half_close()

    def _send(self, code: int | None) -> None:
        frame = encode_frame(Opcode.CLOSE, close_payload(code, "" if code is None else self.close.reason))
        self._transport.resume_reading()
        self._outbox.push(frame)
        self._outbox.seal()

    def _limit_time(self, timeout: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(timeout, self._transport.abort)

    def end(self) -> None:
        """Stop the timer: the transport is closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def read_close(payload: bytes) -> Close:
    """Return code and reason of a Close frame that a peer sent; code 1005 for an empty frame.

    Raises:
        ProtocolFailure: the peer must not send such a frame (RFC 6455, sections 5.5.1 and 7.4).
    """
    if not payload:
        return Close(CloseCode.NO_STATUS)
    if len(payload) < 2:
        raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, "a Close frame with half of a close code")
    code = int.from_bytes(payload[:2], "big")
    if not may_be_sent(code):
        raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, f"the close code {code}, which must not be sent")
    return Close(code, decode_text(payload[2:]))
