"""Metrics of one node: what it counts while it runs, and what its connection to the cluster shows."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

from crosswire.cluster.bus_delay import watch_bus_delay
from crosswire.cluster.connection import ClusterConnection
from crosswire.cluster.measured_requests import MeasuredRequests
from crosswire.cluster.members import Members
from crosswire.cluster.redis.port import RedisPort
from crosswire.cluster.requester import NodeRequests, RequestDialect
from crosswire.core.metric_families import Families, MetricFamily, counter, gauge, labelled, with_label
from crosswire.core.tallies import SECONDS, EventHistograms, EventTotals, Histogram
from crosswire.errors import NotConnected
from crosswire.runtime.loop_lag import watch_loop_lag
from crosswire.runtime.measured_answering import AnsweredCall, AnswerTimes, MeasuredAnswering
from crosswire.runtime.shared_metrics import SharedMetrics


class NodeMetrics:
    """Counts of one node, and the state that they are shown with; a ``NodeObserver``.

    Args:
        name: returns the node's name.
        connection: returns the node's connection to the cluster; raises NotConnected while there is none.
        directory: shared by the processes on one port, which show the metrics of all; None for this process alone.

    Attributes:
        answering: measures the handling of other nodes' events.
        also: returns further metrics of the same process: those of a server.
    """

    __slots__ = (
        "_answers",
        "_bus_delay",
        "_calls",
        "_connection",
        "_events",
        "_gathers",
        "_loop_lag",
        "_name",
        "_shared",
        "also",
        "answering",
    )

    def __init__(
        self, name: Callable[[], str], connection: Callable[[], ClusterConnection], directory: Path | None
    ) -> None:
        self._name = name
        self._connection = connection
        self._shared = None if directory is None else SharedMetrics(directory, name, self._own)
        self._answers = AnswerTimes()
        self._events = events = EventTotals()
        self.answering = MeasuredAnswering(self._answers, AnsweredCall(), lambda event: events.add(event, 1, 0))
        self._calls = EventHistograms()
        self._gathers = EventHistograms()
        self._bus_delay = Histogram(SECONDS)
        self._loop_lag = Histogram(SECONDS)
        self.also: Families = tuple

    # NodeObserver

    def dialect(self, dialect: RequestDialect) -> RequestDialect:
        """Return the dialect as it is; see ``NodeObserver``."""
        return dialect

    def requests(self, requests: NodeRequests) -> NodeRequests:
        """Return requests that are timed; see ``NodeObserver``."""
        return MeasuredRequests(requests, self._calls, self._gathers)

    def watches(self, requests: NodeRequests, members: Members) -> Iterable[Coroutine[Any, Any, None]]:
        """Return what measures in the background; see ``NodeObserver``."""
        yield watch_loop_lag(self._loop_lag)
        yield watch_bus_delay(requests.ping, lambda: members.names, self._bus_delay)
        if self._shared is not None:
            yield self._shared.keep_written()

    # Metrics

    def families(self) -> list[MetricFamily]:
        """Return the metrics of now, of all processes on this port."""
        return self._own() if self._shared is None else self._shared.families()

    def _own(self) -> list[MetricFamily]:
        return with_label([*self.also(), *self._counted(), *self._state()], "node", self._name())

    def _counted(self) -> Iterator[MetricFamily]:
        yield self._loop_lag.family("crosswire_loop_lag_seconds", "By how many seconds the event loop is late.")
        yield self._bus_delay.family(
            "crosswire_bus_delay_seconds", "Seconds that a message takes to another node: half a round trip."
        )
        yield self._calls.family("crosswire_node_call_seconds", "Seconds from a call of a node to its answer.")
        yield self._gathers.family("crosswire_node_gather_seconds", "Seconds from a gather to its last answer.")
        events, _ = self._events.families(
            ("crosswire_node_events_received", "Events and requests of nodes that have a handler."), ("", "")
        )
        yield events
        yield from self._answers.families(
            ("crosswire_node_answer_seconds", "Seconds from a request of a node to this node's answer."),
            ("crosswire_node_calls_refused", "Requests of nodes that were refused, by code."),
        )

    def _state(self) -> Iterator[MetricFamily]:
        """Return what the connection shows; nothing while the node does not run."""
        try:
            connection = self._connection()
        except NotConnected:
            return
        yield from _cluster(connection)
        if isinstance(connection.port.bus_port, RedisPort):
            yield from _redis(connection.port.bus_port)


def _cluster(connection: ClusterConnection) -> Iterator[MetricFamily]:
    port, nodes = connection.port, connection.members.number
    yield gauge("crosswire_nodes", "Living members of the cluster that this node knows, itself included.", nodes)
    yield gauge("crosswire_bus_available", "1 while other nodes can be reached.", float(port.available))
    published = port.published + connection.histories.appended
    yield counter("crosswire_bus_published", "Messages that this node has published on the bus.", published)
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
