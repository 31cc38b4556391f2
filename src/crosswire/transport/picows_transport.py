"""Writes to the event loop's transport, or past it: what the kernel takes at once leaves at once."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Protocol

from crosswire.transport.kernel_buffer import bytes_in_kernel, bytes_taken, has_hung_up
from crosswire.transport.picows_reader import PicowsReader
from crosswire.transport.watermarks import keep_little, set_low_water_mark

_write = os.write


class TransportEvents(Protocol):
    """Callbacks for what the kernel takes, and does not take."""

    def allow_direct(self, fd: int) -> None:
        """Note that the kernel has taken all that was written to the socket ``fd``."""

    def forbid_direct(self) -> None:
        """Note that it has not, and that what waits for it comes first."""

    def bytes_wait(self) -> None:
        """Note that bytes wait for the kernel; called after each write to which that happens."""


class PicowsTransport:
    """Transport of one connection that has become a WebSocket, between the event loop's and the outbox.

    Args:
        transport: the event loop's.
        reader: reads from it.
        events: called back.
    """

    __slots__ = ("_direct", "_events", "_fd", "_may_keep", "_reader", "_transport", "_written")

    def __init__(self, transport: asyncio.Transport, reader: PicowsReader, events: TransportEvents) -> None:
        self._transport = transport
        self._reader = reader
        self._direct = sys.platform != "win32" and transport.get_extra_info("ssl_object") is None
        self._may_keep = True  # whether the transport might keep bytes that leave first, as of a former response
        self._written = 0  # bytes that were given to the transport, as they could not leave at once
        self._fd: int = transport.get_extra_info("socket").fileno()
        self._events: TransportEvents | None = events
        if not self._direct:
            keep_little(transport)

    def closed(self) -> None:
        """Note that the connection is gone; the number of its socket might be another's by now."""
        self._events = None
        self._fd = -1

    def begin(self) -> int:
        """Return the file descriptor of the socket, if the kernel has taken all that was written to it so far; else -1.

        From now on nobody else writes to the event loop's transport.
        """
        if self._direct and not self._transport.get_write_buffer_size():
            self._may_keep = False
            return self._fd
        return -1

    # Writer and ClosableTransport

    @property
    def waiting(self) -> int:
        """Bytes that the transport keeps."""
        return self._transport.get_write_buffer_size() if self._fd >= 0 else 0

    @property
    def taken(self) -> int:
        """Bytes that the peer's kernel has taken, or where nobody can tell, the own kernel of what had to wait."""
        taken = bytes_taken(self._fd) if self._fd >= 0 else None
        return self._written - self.waiting if taken is None else taken

    @property
    def unsent(self) -> int:
        """Bytes that the transport keeps, and bytes that the kernel keeps until the peer's kernel has them."""
        return self.waiting + (bytes_in_kernel(self._fd) if self._fd >= 0 else 0)

    @property
    def unparsed(self) -> int:
        """Number that changes with every part of a frame that arrives."""
        return self._reader.unparsed if self._fd >= 0 else 0

    @property
    def is_held_back(self) -> bool:
        """Whether bytes that have arrived are not handled yet, as the connection is over its rate."""
        return self._reader.is_held_back

    def peer_has_left(self, *, half: bool) -> bool:
        """Return whether the kernel knows that the peer is gone, or sends nothing more if ``half`` is set."""
        return self._fd >= 0 and has_hung_up(self._fd, half=half)

    def write_frames(self, data: bytes) -> None:
        """Send at once what the kernel takes, and leave the rest to the transport, which keeps the order.

        uvloop's own ``write`` queues even bytes that could leave now, which would cost a fan-out a fifth of its speed.
        """
        transport = self._transport
        if transport.is_closing():  # the number of its closed socket might be another's by now
            return
        if not self._may_keep or (self._direct and not transport.get_write_buffer_size()):
            try:
                sent = _write(self._fd, data)
            except BlockingIOError:
                sent = 0
            except OSError:  # the connection is lost: the transport notices when it reads, and tells its protocol
                if not self._reader.is_reading:
                    transport.abort()
                return
            may_keep = sent < len(data)
            if may_keep is not self._may_keep:
                self._tell(may_keep)
            if not may_keep:
                return
            data = data[sent:]
        self._written += len(data)
        transport.write(data)
        if self._events is not None and transport.get_write_buffer_size():
            self._events.bytes_wait()

    def _tell(self, may_keep: bool) -> None:
        self._may_keep = may_keep
        if self._events is None:
            return
        if may_keep:
            self._events.forbid_direct()
        else:
            self._events.allow_direct(self._fd)

    def set_low_water_mark(self, low: int | None) -> None:
        """Pause the outbox while the transport keeps more than ``low`` bytes; None: while the transport is full."""
        set_low_water_mark(self._transport, low)

    def pause_reading(self) -> None:
        """Leave what the peer sends to the kernel, which holds the peer back once its buffer is full."""
        self._reader.pause()

    def resume_reading(self) -> None:
        """Read from the peer again."""
        self._reader.resume()

    def discard(self) -> None:
        """Read what the peer still sends only to discard it."""
        self._reader.discard()

    def hang_up(self) -> bool:
        """Close the connection once everything has been sent; return whether that is so.

        With TLS the end waits for the peer's, and what it sends meanwhile is still read.
        """
        if self._direct:
            self._reader.discard_held()
        else:
            self._reader.discard()
        self._transport.close()
        return self._direct and not self._transport.get_write_buffer_size()

    def half_close(self) -> None:
        """Send nothing more, and read what the peer still sends only to discard it.

        If a connection is closed while its peer sends, the kernel sends a reset, which can overtake our Close frame.
        """
        if self._fd < 0:
            return
        self._reader.discard()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection now, if it is not closed yet: asyncio's transport can't be aborted after its end."""
        if self._events is not None:
            self._reader.discard()
            self._transport.abort()
