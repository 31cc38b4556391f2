"""Tells whether bytes still move on a TCP connection, as far as the platform knows."""

from __future__ import annotations

import asyncio
import struct
import sys

_SIZE = struct.Struct("i")


class Progress:
    """What moved since a question was asked: anything that arrived, and what had to leave before the question could.

    What leaves later is no sign of life: the kernel of a server whose process hangs takes it, too.

    Attributes:
        arrived: bytes, so far.
        written: bytes handed to the transport, so far.
    """

    __slots__ = ("_asked_at", "_seen_arrived", "_seen_left", "arrived", "written")

    def __init__(self) -> None:
        self.arrived = 0
        self.written = 0
        self._asked_at = self._seen_arrived = self._seen_left = 0

    def asked(self, transport: asyncio.Transport) -> None:
        """The question has been written."""
        self._asked_at = self.written
        self._seen_arrived = self.arrived
        self._seen_left = self.written - unsent(transport)

    def moved(self, transport: asyncio.Transport) -> bool:
        """Whether something moved since this, or :meth:`asked`, was called last."""
        arrived, self._seen_arrived = self._seen_arrived != self.arrived, self.arrived
        left = min(self.written - unsent(transport), self._asked_at)
        if left <= self._seen_left:
            return arrived
        self._seen_left = left
        return True


def unsent(transport: asyncio.Transport) -> int:
    """Return the bytes that wait in the transport and, on Linux, in the kernel until the peer's confirms them.

    Args:
        transport: of a TCP connection, with or without TLS.
    """
    return transport.get_write_buffer_size() + _in_kernel(transport)


if sys.platform == "linux":
    import fcntl
    import termios

    def _in_kernel(transport: asyncio.Transport) -> int:
        own = transport.get_extra_info("socket")
        if own is None or own.fileno() < 0:
            return 0
        try:
            (size,) = _SIZE.unpack(fcntl.ioctl(own.fileno(), termios.TIOCOUTQ, bytes(_SIZE.size)))
        except OSError:  # the kernel does not tell for this kind of socket: then only what waits here is known
            return 0
        return int(size)

else:

    def _in_kernel(_transport: asyncio.Transport) -> int:
        return 0
