"""The service that tells which servers there are, to emitters, which are no members."""

from __future__ import annotations

from collections.abc import Callable

from crosswire.cluster.clients import Clients
from crosswire.cluster.connection import ClusterConnection
from crosswire.core.envelopes import SERVICE
from crosswire.core.listeners import EventListeners

_SERVERS = "servers"
SERVERS_REQUEST = SERVICE + _SERVERS
"""The event of a request for the names of the servers that a node knows."""


def offer_known_servers(
    services: EventListeners, clients: Clients, connection: Callable[[], ClusterConnection]
) -> None:
    """Register the service that lists the living servers that this node knows, with this node if it is one.

    Args:
        services: of the node.
        clients: of the node.
        connection: returns the node's connection to the cluster.
    """

    def servers(_sender: str) -> list[str]:
        cluster = connection()
        return [*([cluster.name] if clients.serves else []), *cluster.members.servers]

    services.on(_SERVERS, servers)
