"""Watermarks of the transports of event loops: when they pause an outbox, and when they resume it."""

from __future__ import annotations

import asyncio

HIGH_WATER_MARK = 64 * 1024
"""Bytes that a transport keeps before it pauses the outbox."""


def keep_little(transport: asyncio.Transport) -> None:
    """Let a transport pause its outbox at ``HIGH_WATER_MARK``; over TLS an event loop would keep eight times that."""
    if not transport.is_closing():
        transport.set_write_buffer_limits(HIGH_WATER_MARK)


def set_low_water_mark(transport: asyncio.Transport, low: int | None) -> None:
    """Let a transport pause its outbox while it keeps more than ``low`` bytes; None: while it is full."""
    if transport.is_closing():
        return
    if low is None:
        keep_little(transport)
    elif transport.get_write_buffer_size() > low:
        # Over TLS a transport pauses at its upper limit already, others above it: it must not pause at nothing.
        over_tls = transport.get_extra_info("ssl_object") is not None
        transport.set_write_buffer_limits(low + over_tls, low)
