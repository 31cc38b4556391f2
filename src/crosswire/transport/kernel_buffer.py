"""The bytes of a socket that the kernel keeps."""

from __future__ import annotations

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
