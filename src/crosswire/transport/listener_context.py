"""Limits, flusher and warnings that all connections of one listener share."""

from __future__ import annotations

from collections.abc import Callable

from crosswire.core.limits import Limits
from crosswire.runtime.flusher import Flusher
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.transport.grown_buffers import GrownBuffers
from crosswire.transport.picows_parser import FrameParsers
from crosswire.transport.read_turns import ReadTurns
from crosswire.transport.slow_readers import SlowReaders
from crosswire.types import Close, CloseCode


def ignore_refusal(reason: str) -> None:
    """Count no refusal: a listener without a server has nobody who asks."""


class ListenerContext:
    """Limits, end-of-turn flusher and warnings of one listener.

    Args:
        limits: of every connection.
        flusher: of the connections' outboxes.
        secure: whether the connections are over TLS.
        compress: whether an ASGI server may compress what it sends, by itself.
        count_refusal: told the reason for each connection that is not let in.

    Attributes:
        request_warnings: requests that are refused.
        connection_warnings: connections that are dropped.
        read_turns: of connections whose peers send more than is handled at once.
        grown_buffers: the read buffers that large messages have left.
        has_rates: whether messages or bytes of a connection have a limit for each second.
        parsers: of the frames of connections that picows reads.
        slow_readers: finds out which clients read too slowly.
    """

    __slots__ = (
        "compress",
        "connection_warnings",
        "count_refusal",
        "flusher",
        "grown_buffers",
        "has_rates",
        "limits",
        "parsers",
        "read_turns",
        "request_warnings",
        "secure",
        "slow_readers",
    )

    def __init__(
        self,
        limits: Limits,
        flusher: Flusher,
        *,
        secure: bool = False,
        compress: bool = False,
        count_refusal: Callable[[str], None] = ignore_refusal,
    ) -> None:
        self.count_refusal = count_refusal
        self.limits = limits
        self.has_rates = limits.message_rate is not None or limits.byte_rate is not None
        self.flusher = flusher
        self.secure = secure
        self.compress = compress
        self.read_turns = ReadTurns()
        self.grown_buffers = GrownBuffers()
        self.parsers = FrameParsers(limits.max_message)
        self.slow_readers = SlowReaders(limits.outbox_time)
        self.request_warnings = ThrottledWarnings(get_logger("crosswire.http"))
        self.connection_warnings = ThrottledWarnings(get_logger("crosswire.transport"))

    def overflow_close(self) -> Close:
        """Warn that a connection is dropped because its client does not read; return its close."""
        text = "a connection is dropped with what was sent to it: its client does not read, and %d bytes waited"
        self.connection_warnings.warn("overflow", text, self.limits.outbox)
        return Close(CloseCode.TRY_AGAIN_LATER, f"more than {self.limits.outbox} bytes were waiting")

    def slow_reader_close(self) -> Close:
        """Warn that a connection is dropped because its client reads too slowly; return its close."""
        text = "a connection is dropped with what was sent to it: its client has taken next to nothing for %s seconds"
        self.connection_warnings.warn("slow reader", text, self.limits.outbox_time)
        return Close(CloseCode.TRY_AGAIN_LATER, f"next to nothing was read for {self.limits.outbox_time} seconds")
