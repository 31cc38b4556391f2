"""Hands bytes to an ``asyncio.BufferedProtocol`` that were read before it had the connection."""

from __future__ import annotations

import asyncio
from typing import Any


def feed_buffered_protocol(transport: asyncio.Transport, protocol: Any, data: bytes) -> None:
    """Feed ``data`` to the protocol of a transport until it is all read, or the protocol has been replaced."""
    while data and not transport.is_closing() and _has_protocol(transport, protocol):
        buffer = protocol.get_buffer(len(data))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]


def _has_protocol(transport: asyncio.Transport, protocol: object) -> bool:
    return transport.get_protocol() is protocol
