"""Metrics of one node: what it counts while it runs, and what its connection to the cluster shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from crosswire.cluster.connection import ClusterConnection
from crosswire.cluster.redis.port import RedisPort
from crosswire.core.metric_families import MetricFamily, counter, gauge, labelled
from crosswire.errors import NotConnected


class NodeMetrics:
    """Counts of one node, and the state that they are shown with.

    Args:
        connection: returns the node's connection to the cluster; raises NotConnected while there is none.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: Callable[[], ClusterConnection]) -> None:
        self._connection = connection

    def families(self) -> Iterator[MetricFamily]:
        """Return the metrics of now; what the cluster shows only while the node runs."""
        try:
            connection = self._connection()
        except NotConnected:
            return
        yield from _cluster(connection)
        if isinstance(connection.port.bus_port, RedisPort):
            yield from _redis(connection.port.bus_port)


def _cluster(connection: ClusterConnection) -> Iterator[MetricFamily]:
    port = connection.port
    yield gauge("crosswire_nodes", "Living members of the cluster that this node knows, itself included.",
                len(connection.members.nodes))  # fmt: skip
    yield gauge("crosswire_bus_available", "1 while other nodes can be reached.", float(port.available))
    yield counter("crosswire_bus_published", "Messages that this node has published on the bus.", port.published)
    yield counter("crosswire_bus_gaps", "How often messages of other nodes may have been missed.", port.gaps)
    yield counter("crosswire_bus_dropped", "Messages to other nodes that are lost.", connection.dropped)
    yield counter(
        "crosswire_bus_unreadable",
        "Messages that came over the bus and were not what they should be.",
        connection.unreadable,
    )


def _redis(port: RedisPort) -> Iterator[MetricFamily]:
    links = port.status()
    yield labelled(
        "gauge",
        "crosswire_redis_up",
        "1 while a probe that is published on the Redis comes back in time.",
        ("url",),
        [((link.url,), float(link.healthy)) for link in links],
    )
    yield labelled(
        "gauge",
        "crosswire_redis_latency_seconds",
        "Seconds from publishing the last probe on the Redis to receiving it.",
        ("url",),
        [((link.url,), link.latency / 1000) for link in links if link.latency is not None],
    )
