"""Finds out whether a connection has bytes that nobody has read yet."""

from __future__ import annotations

import asyncio
import select


def has_unread(transport: asyncio.BaseTransport) -> bool:
    """Return whether bytes of the peer, or its end, wait in the kernel; False where no socket is known."""
    place = transport.get_extra_info("socket")
    if place is None or place.fileno() < 0:
        return False
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([place.fileno()], [], [], 0)[0])
    poller = select.poll()
    poller.register(place.fileno(), select.POLLIN)
    return bool(poller.poll(0))
