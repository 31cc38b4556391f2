"""Messages of the original's servers: MessagePack and JSON on its channels, with records as in ``envelopes.py``.

Bit 7 of the first byte of an input chooses: set for MessagePack, else JSON.
"""

from __future__ import annotations

from crosswire import Compat
from tests.fuzz.bus_server import RENEWED_AFTER, BusServer, new_loop
from tests.fuzz.target import SteppedLoop

MSGPACK = 0x80


class OriginalTarget:
    """Target of the dialect of the original's servers."""

    def start(self) -> None:
        """Start two servers, one for each encoding."""
        self._stepped = SteppedLoop(new_loop)
        self._servers = self._make()
        self._inputs = 0

    def run(self, data: bytes) -> None:
        """Publish messages."""
        self._inputs += 1
        if self._inputs % RENEWED_AFTER == 0:
            self._close()
            self._servers = self._make()
        self._servers[bool(data[:1] and data[0] & MSGPACK)].publish(data[1:])

    def stop(self) -> None:
        """Stop the servers."""
        self._close()
        self._stepped.close()

    def _make(self) -> tuple[BusServer, BusServer]:
        presets = ("lobby",)
        json = BusServer(self._stepped, Compat(compress=False, preset_namespaces=presets))
        return json, BusServer(self._stepped, Compat(compress=True, preset_namespaces=presets))

    def _close(self) -> None:
        for server in self._servers:
            server.close()
