"""Movement of bytes on a TCP connection, as far as the platform can tell."""

from __future__ import annotations

import asyncio

from crosswire.transport.kernel_buffer import bytes_in_kernel


class TcpProgress:
    """Movement of bytes since a question was sent: bytes that arrived, and bytes that had to leave before it.

    Bytes that leave after the question are no sign of life: if a server's process hangs, its kernel still takes bytes.

    Attributes:
        arrived: bytes that have arrived so far.
        written: bytes that were handed to the transport so far.
    """

    __slots__ = ("_asked_at", "_seen_arrived", "_seen_left", "arrived", "written")

    def __init__(self) -> None:
        self.arrived = 0
        self.written = 0
        self._asked_at = self._seen_arrived = self._seen_left = 0

    def asked(self, transport: asyncio.Transport) -> None:
        """Note that a question has been written."""
        self._asked_at = self.written
        self._seen_arrived = self.arrived
        self._seen_left = self.written - unsent(transport)

    def moved(self, transport: asyncio.Transport) -> bool:
        """Return whether bytes moved since this, or :meth:`asked`, was called last."""
        arrived, self._seen_arrived = self._seen_arrived != self.arrived, self.arrived
        left = min(self.written - unsent(transport), self._asked_at)
        if left <= self._seen_left:
            return arrived
        self._seen_left = left
        return True


def unsent(transport: asyncio.Transport) -> int:
    """Return the bytes that wait in a transport, and in the kernel until the peer's confirms them.

    Args:
        transport: of a TCP connection, with or without TLS.
    """
    own = transport.get_extra_info("socket")
    in_kernel = 0 if own is None or own.fileno() < 0 else bytes_in_kernel(own.fileno())
    return transport.get_write_buffer_size() + in_kernel
