"""The status of nodes: what each has counted, and the health of its Redis."""

from __future__ import annotations

from collections.abc import Callable

from crosswire.cluster.clients import Clients
from crosswire.cluster.connection import ClusterConnection
from crosswire.cluster.dispatcher import SERVICE_TIMEOUT
from crosswire.cluster.lists import fitting
from crosswire.cluster.redis.port import RedisPort
from crosswire.core.listeners import EventListeners
from crosswire.runtime import environment
from crosswire.types import NodeStatus, Replies


class StatusQueries:
    """Asks nodes for their status, and tells this node's.

    Args:
        clients: the clients of this node.
        connection: returns the node's connection to the cluster; raises if there is none.
    """

    __slots__ = ("_clients", "_connection")

    def __init__(self, clients: Clients, connection: Callable[[], ClusterConnection]) -> None:
        self._clients = clients
        self._connection = connection

    def offer(self, services: EventListeners) -> None:
        """Register the service with which other nodes ask for this node's status."""

        def status(_sender: str) -> NodeStatus:
            return self._own(self._connection())

        services.on("status", status)

    async def of_all(self) -> Replies[NodeStatus]:
        """Return the status of each living member, with this node's own."""
        connection = self._connection()
        own = {connection.name: self._own(connection)}
        if connection.alone:
            return Replies(own)
        others = await connection.requester.gather_service("status", None, SERVICE_TIMEOUT, servers=False)
        theirs = fitting(others, NodeStatus)
        return Replies({**own, **theirs}, errors=theirs.errors, missing=theirs.missing)

    def _own(self, connection: ClusterConnection) -> NodeStatus:
        bus_port, counts = connection.port.bus_port, self._clients.counts
        return NodeStatus(
            incarnation=connection.incarnation,
            uptime=environment.monotonic() - connection.began,
            **{**counts._asdict(), "skipped": dict(counts.skipped)},  # one that can be encoded
            gaps=connection.port.gaps,
            dropped=connection.dropped,
            refused=connection.unreadable,
            redis=tuple(bus_port.status()) if isinstance(bus_port, RedisPort) else (),
        )
