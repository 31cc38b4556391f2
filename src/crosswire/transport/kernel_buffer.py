"""The kernel's side of a socket: the bytes that it keeps, those that the peer has taken, and whether it has left."""

from __future__ import annotations

import os
import select
import socket
import struct
import sys

if sys.platform != "win32":
    from fcntl import ioctl
    from termios import TIOCOUTQ

_COUNT = struct.Struct("i")
_BYTES_ACKED = struct.Struct("120xQ")
"""Place of ``tcpi_bytes_acked`` in Linux' ``struct tcp_info``."""


def bytes_in_kernel(descriptor: int) -> int:
    """Return the bytes that were written to a socket and that the peer's kernel has not confirmed.

    See tcp(7), SIOCOUTQ. The result is 0 where the platform can't tell.
    """
    if sys.platform == "win32":
        return 0
    try:
        (count,) = _COUNT.unpack(ioctl(descriptor, TIOCOUTQ, bytes(_COUNT.size)))
    except OSError:  # not every system can tell, nor can every kind of socket
        return 0
    return int(count)


def bytes_taken(descriptor: int) -> int | None:
    """Return the bytes of a TCP connection that the peer's kernel has confirmed; None where the platform can't tell.

    See tcp(7), TCP_INFO.
    """
    if sys.platform != "linux":
        return None
    try:
        with socket.socket(fileno=os.dup(descriptor)) as own:
            info = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
            (count,) = _BYTES_ACKED.unpack(info)
    except (OSError, struct.error):  # not every kind of socket can tell, nor can every kernel
        return None
    return int(count)


def has_hung_up(descriptor: int, *, half: bool) -> bool:
    """Return whether the peer of a socket is gone, even behind bytes that were not read.

    Args:
        descriptor: of the socket.
        half: whether a peer that has only finished sending counts too.

    Returns:
        False where the platform can't tell.
    """
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(descriptor, getattr(select, "POLLRDHUP", 0) if half else 0)  # errors are always reported
    return bool(poll.poll(0))
