"""Tools for testing applications, transports and buses; shipped.

* :func:`connect`: talk to your server in memory, without a port, in the client protocol.
* :class:`Simulation`: a cluster with its clients on a virtual clock, with faults, replayed by a seed.
* :func:`find_failing_seed`: the first seed with which a scenario of a simulation fails.
* ``crosswire.testing.virtual_clock``: an event loop that jumps to the next timer instead of waiting.
* ``crosswire.testing.pytest_plugin``: fixtures for all of these (needs pytest).
* ``crosswire.testing.transport_suite``: the contract of transports, as tests (needs pytest: ``crosswire[testing]``).
* ``crosswire.testing.bus_suite``: the contract of buses, in the same way.
* ``crosswire.testing.log_suite``: the contract of the logs that keep rooms' messages, in the same way.
* ``crosswire.testing.redis_process``: a real Redis or Valkey to kill, pause and bring back.
* ``crosswire.testing.sentinels``: a Redis with a replica, and sentinels that watch them, for failovers.
* ``crosswire.testing.proxy``: a TCP proxy to cut, delay and blackhole connections.
* ``crosswire.testing.socket_peer``: the other end of a WebSocket over a real socket, raw bytes included.
"""

from __future__ import annotations

from crosswire.testing.application import EventClient, Received, Refused, connect
from crosswire.testing.failing_seeds import FailingSeed, find_failing_seed
from crosswire.testing.simulation import Simulation

__all__ = ["EventClient", "FailingSeed", "Received", "Refused", "Simulation", "connect", "find_failing_seed"]
