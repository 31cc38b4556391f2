"""A port that the kernel gives to nobody else, even while nothing listens on it."""

from __future__ import annotations

import socket
import sys
import weakref

_HOST = "127.0.0.1"


class ReservedPort:
    """Binds a port of loopback without listening on it, until it is closed or forgotten.

    Meanwhile Linux does not choose the port for a listener on any free port, or for an outgoing connection. A server
    that names the port and sets SO_REUSEADDR can still listen on it. On other systems it can't, so there the port is
    only checked to be free, and released at once.

    Args:
        number: of the port; 0 for any.

    Attributes:
        number: of the port.

    Raises:
        OSError: the port is in use.
    """

    def __init__(self, number: int = 0) -> None:
        self._place = socket.socket()
        weakref.finalize(self, self._place.close)
        try:
            self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._place.bind((_HOST, number))
            self.number: int = self._place.getsockname()[1]
        except BaseException:
            self.close()
            raise
        if sys.platform != "linux":
            self.close()

    def close(self) -> None:
        """Release the port; a second call does nothing."""
        self._place.close()
