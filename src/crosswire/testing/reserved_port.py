"""A port that the kernel gives to nobody else, even while nothing listens on it."""

from __future__ import annotations

import socket
import sys
import weakref

_HOST = "127.0.0.1"


class ReservedPort:
    """Binds a port of loopback without listening on it, until it is closed or forgotten.

    Meanwhile Linux gives the port to nobody who does not name it: neither to a listener on any port nor to a
    connection, which could even find itself at its other end. A server that does name it and sets SO_REUSEADDR as well
    may listen on it. Elsewhere it could not, so there the port is only found to be free.

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
