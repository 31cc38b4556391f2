"""Stands between an event loop's transport and its two writers: picows, and the connection's outbox."""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from typing import Any, Protocol

if sys.platform != "win32":
    from fcntl import ioctl
    from termios import TIOCOUTQ

_CLOSE_FRAME = 0x88
_COUNT = struct.Struct("i")
_write = os.write


class InvalidFrameHandler(Protocol):
    """Is told that picows refuses what the peer sent."""

    def refuse(self, payload: bytes) -> None:
        """``payload`` is of the Close frame that picows would have sent."""


class PicowsTransport:
    """One connection's transport.

    picows parses a frame ahead, and sends its own Close for a broken one before the message in front was delivered,
    let alone answered. Through the gate that Close reaches the connection instead, which sends it in its turn.

    Args:
        transport: the event loop's.
    """

    __slots__ = ("_direct", "_fd", "_kept", "_refusing", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._direct = sys.platform != "win32" and transport.get_extra_info("ssl_object") is None
        self._kept = True  # whether the transport may keep bytes that have to leave first: it has the HTTP answer
        self._fd: int = transport.get_extra_info("socket").fileno()
        self._refusing: InvalidFrameHandler | None = None

    def opened(self, refusing: InvalidFrameHandler) -> None:
        """From now on it is a WebSocket, and a Close of picows goes to ``refusing``."""
        self._refusing = refusing

    def closed(self) -> None:
        """There is nobody left to tell, and nothing left to send; the socket's number may be another's by now."""
        self._refusing = None
        self._fd = -1

    # For the connection and its outbox.

    @property
    def waiting(self) -> int:
        """Bytes that the transport keeps."""
        return self._transport.get_write_buffer_size() if self._fd >= 0 else 0

    @property
    def unsent(self) -> int:
        """Bytes that the transport keeps, and those that the kernel does until the peer's has them."""
        return self.waiting + (_queued(self._fd) if self._fd >= 0 else 0)

    @property
    def unparsed(self) -> int:
        """A number that changes with every part of a frame that arrives: the room that is left in picows' buffer."""
        return len(self._transport.get_protocol().get_buffer(-1)) if self._fd >= 0 else 0  # type: ignore[attr-defined]

    def write_frames(self, data: bytes) -> None:
        """Send at once what the kernel takes, and leave the rest to the transport, which keeps the order.

        uvloop's own ``write`` queues even what could leave now, which would cost a fan-out a fifth of its speed.
        """
        transport = self._transport
        if transport.is_closing():  # the number of its closed socket may be another's by now
            return
        if not self._kept or (self._direct and not transport.get_write_buffer_size()):
            try:
                sent = _write(self._fd, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # the connection is lost: the transport is about to find out by reading, and tells its protocol
            self._kept = sent < len(data)
            if not self._kept:
                return
            data = data[sent:]
        transport.write(data)

    def watch(self, low: int | None) -> None:
        """Let the outbox pause while the transport keeps more than ``low`` bytes; None: when that is full."""
        if self._transport.is_closing():
            return
        if low is None:
            self._transport.set_write_buffer_limits()
        elif self._transport.get_write_buffer_size() > low:  # over TLS it would pause at nothing, and not resume
            self._transport.set_write_buffer_limits(low, low)

    def pause_reading(self) -> None:
        """Leave what the peer sends to the kernel, which holds the peer back once it has enough."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def hang_up(self) -> None:
        """Close TCP once everything is sent."""
        self._transport.close()

    def half_close(self) -> None:
        """Send no more, and read the rest of what the peer sends only to drop it.

        Closing at once what is still being written to makes the kernel send a reset, which can overtake our Close.
        """
        if self._fd < 0:
            return
        if self._transport.can_write_eof():
            self._transport.set_protocol(_DiscardingProtocol(self._transport.get_protocol()))
            self._transport.write_eof()
        else:
            self._transport.close()

    def abort(self) -> None:
        """Close TCP now, if it is not closed yet: asyncio's transport can't be aborted after its end."""
        if self._refusing is not None:
            self._transport.abort()

    # For picows.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket, without options. picows asks for the addresses too, only to log them: a system call each."""
        return _Descriptor(self._fd) if name == "socket" else default

    def get_write_buffer_size(self) -> int:
        """Never 0: picows would then write to the socket past the gate."""
        return 1

    def write(self, data: bytes) -> None:
        """Send an HTTP answer; a Close frame goes to the connection."""
        if self._refusing is not None and data[0] == _CLOSE_FRAME:
            self._refusing.refuse(bytes(data[2:]))
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close, if it did not become a WebSocket; when to close one is the connection's decision."""
        if self._refusing is None:
            self._transport.close()


def _queued(descriptor: int) -> int:
    """Bytes of a socket that were written and that the peer's kernel has not confirmed (tcp(7), SIOCOUTQ)."""
    if sys.platform == "win32":
        return 0
    try:
        (count,) = _COUNT.unpack(ioctl(descriptor, TIOCOUTQ, bytes(_COUNT.size)))
    except OSError:  # not every system can tell
        return 0
    return int(count)


class _DiscardingProtocol(asyncio.BufferedProtocol):
    """Hears nothing any more but the end of the connection."""

    _bin = bytearray(64 * 1024)

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._bin

    def buffer_updated(self, nbytes: int) -> None:
        """What arrived is dropped."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


class _Descriptor:
    """A socket that takes picows' TCP options and ignores them.

    The event loop has set the one that matters (TCP_NODELAY), a Unix socket has none, and setting and logging six of
    them for every connection takes a fifth of the time of accepting it.
    """

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number

    def setsockopt(self, *_args: object) -> None:
        """Nothing to set."""

    def getsockopt(self, *_args: object) -> int:
        return 0
