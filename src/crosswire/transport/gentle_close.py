"""Closes a connection so that the peer, which might still send, can read its response."""

from __future__ import annotations

import asyncio

TLS_LINGER = 1.0
"""Seconds that a peer over TLS, which still sends, has to read its response before the connection is closed."""


def close_gently(transport: asyncio.Transport) -> bool:
    """End the sending of a connection; return whether it is to be closed when the peer closes it, or at a timeout.

    If a connection is closed with unread bytes, the kernel sends a reset, which can overtake the response. So it is
    read on, and what comes is to be discarded. TLS of the event loop can't end the sending alone; there the connection
    is closed by itself after ``TLS_LINGER`` seconds.
    """
    if transport.can_write_eof():
        transport.write_eof()
        return True
    asyncio.get_running_loop().call_later(TLS_LINGER, transport.close)
    return False
