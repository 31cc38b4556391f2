"""Tools for testing applications and transports; shipped.

* :func:`connect`: talk to your server in memory, without a port, in the client protocol.
* ``crosswire.testing.transport_suite``: the contract of transports, as tests (needs pytest: ``crosswire[testing]``).
* ``crosswire.testing.socket_peer``: the other end of a WebSocket over a real socket, raw bytes included.
"""

from __future__ import annotations

from crosswire.testing.application import EventClient, Received, Refused, connect

__all__ = ["EventClient", "Received", "Refused", "connect"]
