"""The kernel's side of a socket: the bytes that it keeps, and whether the peer has left."""

from __future__ import annotations

import select
import struct
import sys

if sys.platform != "win32":
    from fcntl import ioctl
    from termios import TIOCOUTQ

_COUNT = struct.Struct("i")


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
