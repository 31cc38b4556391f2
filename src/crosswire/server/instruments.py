"""Instruments of a server: metrics and tracing, which are attached before it starts."""

from __future__ import annotations

from crosswire.cluster.instruments import NodeInstruments
from crosswire.cluster.observer import NodeObserver
from crosswire.core.metric_families import Families
from crosswire.server.observer import ServerObserver
from crosswire.server.server_parts import ServerParts


class ServerInstruments:
    """Metrics and tracing of one server. As long as nothing is attached, they cost nothing.

    Args:
        parts: of the server.
        node: the instruments of its node.
    """

    __slots__ = ("_node", "_parts")

    def __init__(self, parts: ServerParts, node: NodeInstruments) -> None:
        self._parts = parts
        self._node = node

    def measure(self) -> Families:
        """Count from now on; return the function that returns the metrics of the server and its node.

        Raises:
            ConfigError: the server runs already.
        """
        self._node.measure()
        return self._node.measure(also=self._parts.measure().families)

    def observe(self, observer: ServerObserver, node_observer: NodeObserver) -> None:
        """Let observers see what the server and its node do.

        Raises:
            ConfigError: the server runs already.
        """
        self._node.observe(node_observer)
        self._parts.observe(observer)
