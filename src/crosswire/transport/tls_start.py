"""Begins TLS on a connection whose first bytes were read already."""

from __future__ import annotations

import asyncio
from typing import Any

from crosswire.runtime import environment
from crosswire.transport.buffered_protocol import feed_buffered_protocol
from crosswire.transport.read_turns import ReadTurns

TlsOptions = dict[str, Any]
"""Arguments for the event loop's ``start_tls``; empty where there is no TLS."""


class TlsStart:
    """TLS handshake of one connection, which is a ``HeldReader`` while the client's first bytes wait for their turn.

    The server's part of a handshake, a signature above all, is done as soon as these bytes are read: a fraction of a
    millisecond or more. When thousands of clients come back at once, the event loop would do it for hundreds in one
    turn. So those that come when the turn has had its time wait for the next one, as requests do.

    Args:
        transport: of the connection.
        protocol: that the connection has now, and gets again behind TLS.
        options: for ``start_tls``.
        turns: of all connections of the listener.
        first: bytes of the handshake that were read already, and can't be unread.
    """

    __slots__ = ("_first", "_options", "_protocol", "_transport", "_turns")

    def __init__(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        options: TlsOptions,
        turns: ReadTurns,
        first: bytes,
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._options = options
        self._turns = turns
        self._first = first

    @property
    def is_waiting(self) -> bool:
        """Whether the first bytes are not handled yet."""
        return bool(self._first)

    async def negotiate(self) -> asyncio.Transport | None:
        """Return the transport behind TLS, or None if the connection has ended.

        Raises:
            OSError: the peer can't agree with this server, or is gone.
        """
        loop = asyncio.get_running_loop()
        return await loop.start_tls(self._transport, self._protocol, server_side=True, **self._options)

    def feed_soon(self) -> None:
        """Let the first bytes follow once TLS has begun; to be called as soon as ``negotiate`` runs in a task.

        ``start_tls`` takes the connection over in its first step, and reads from it in the next turn of the loop. The
        first bytes follow in that turn, before anything is read: later, uvloop would have read what comes behind them.
        """
        loop = asyncio.get_running_loop()
        if self._transport.get_protocol() is self._protocol:  # its first step is still to come
            loop.call_soon(loop.call_soon, self._feed_in_turn)
        else:
            loop.call_soon(self._feed_in_turn)

    def _feed_in_turn(self) -> None:
        if self._turns.is_over:
            self._transport.pause_reading()
            self._turns.add(self)
        else:
            self._feed()

    def _feed(self) -> None:
        began = environment.perf_counter()
        first, self._first = self._first, b""
        protocol = self._transport.get_protocol()
        if protocol is not self._protocol:  # else TLS could not begin, as the connection has ended
            feed_buffered_protocol(self._transport, protocol, first)
        self._turns.count_request(began)

    # HeldReader

    def serve(self, deadline: float) -> bool:
        """Handle the first bytes; return False, as nothing is left of them."""
        if not self._transport.is_closing():
            self._transport.resume_reading()
        self._feed()
        return False

    def fail(self) -> None:
        """Drop the connection, as its handshake has failed."""
        self._transport.abort()
