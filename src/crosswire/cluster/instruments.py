"""Instruments of a node: metrics and tracing, which are attached before it starts."""

from __future__ import annotations

from crosswire.cluster.lifecycle import NodeLifecycle
from crosswire.cluster.node_metrics import NodeMetrics
from crosswire.cluster.observer import NodeObserver
from crosswire.cluster.responder import Responder
from crosswire.core.metric_families import Families
from crosswire.runtime.shared_metrics import shared_directory


class NodeInstruments:
    """Metrics and tracing of one node. As long as nothing is attached, they cost nothing.

    Args:
        lifecycle: of the node.
        responder: handles the application's events.

    Attributes:
        observers: what was attached.
    """

    __slots__ = ("_lifecycle", "_metrics", "_responder", "observers")

    def __init__(self, lifecycle: NodeLifecycle, responder: Responder) -> None:
        self._lifecycle = lifecycle
        self._responder = responder
        self._metrics: NodeMetrics | None = None
        self.observers: list[NodeObserver] = []

    def measure(self, also: Families | None = None) -> Families:
        """Count from the next start on; return the function that returns the metrics.

        Args:
            also: returns further metrics of the same process, those of a server.

        Raises:
            ConfigError: the node runs already.
        """
        metrics = self._metrics
        if metrics is None:
            life = self._lifecycle
            metrics = NodeMetrics(lambda: life.name, life.connection_for_any_thread, shared_directory())
            self.observe(metrics)
            self._metrics = metrics
        if also is not None:
            metrics.also = also
        return metrics.families

    def observe(self, observer: NodeObserver) -> None:
        """Let an observer see what the node does from its next start on.

        Raises:
            ConfigError: the node runs already.
        """
        self._lifecycle.require_stopped("metrics and tracing")
        self._responder.observe(observer.answering)
        self.observers.append(observer)
