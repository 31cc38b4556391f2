"""Envelopes from the bus, on every channel of a server: what whoever can publish on Redis can send.

An input is made of records, see ``bus_records.py``. With bit 0 of its mode a message gets the next header of one of
four senders, so that its body is read; without, the header is in the record too.
"""

from __future__ import annotations

from tests.fuzz.bus_server import RENEWED_AFTER, BusServer, new_loop
from tests.fuzz.target import SteppedLoop


class EnvelopesTarget:
    """Target of the native dialect, and of what is above it."""

    def start(self) -> None:
        """Start a server."""
        self._stepped = SteppedLoop(new_loop)
        self._server = BusServer(self._stepped)
        self._inputs = 0

    def run(self, data: bytes) -> None:
        """Publish messages."""
        self._inputs += 1
        if self._inputs % RENEWED_AFTER == 0:
            self._server.close()
            self._server = BusServer(self._stepped)
        self._server.publish(data)

    def stop(self) -> None:
        """Stop the server."""
        self._server.close()
        self._stepped.close()
