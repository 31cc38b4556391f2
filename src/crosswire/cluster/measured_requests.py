"""Counts how long a node waits for the answers of others."""

from __future__ import annotations

from collections.abc import Collection, Coroutine
from typing import Any

from crosswire.cluster.gather_request import GatherRequest
from crosswire.cluster.requester import NodeRequests
from crosswire.cluster.streams import ReplyStream
from crosswire.core.payload_types import PayloadType
from crosswire.core.tallies import EventHistograms
from crosswire.runtime import environment
from crosswire.types import Replies


class MeasuredRequests:
    """The :class:`~crosswire.cluster.requester.NodeRequests` of a node whose requests are timed.

    Args:
        requests: sends them.
        calls: the durations of calls, by event, those without an answer too.
        gathers: the same, of gathers.
    """

    __slots__ = ("_calls", "_gathers", "_requests")

    def __init__(self, requests: NodeRequests, calls: EventHistograms, gathers: EventHistograms) -> None:
        self._requests = requests
        self._calls = calls
        self._gathers = gathers

    async def call(self, name: str, event: str, data: Any, timeout: float, kind: PayloadType) -> Any:
        """Send a request to one node and return its answer."""
        began = environment.perf_counter()
        try:
            return await self._requests.call(name, event, data, timeout, kind)
        finally:
            self._calls.observe(event, environment.perf_counter() - began)

    async def gather(self, request: GatherRequest) -> Replies:
        """Send a request to several nodes and return their answers."""
        began = environment.perf_counter()
        try:
            return await self._requests.gather(request)
        finally:
            self._gathers.observe(request.event, environment.perf_counter() - began)

    # What is not timed

    def send(self, to: Collection[str] | None, event: str, data: Any, *, include_self: bool) -> None:
        """Send an event to nodes; see ``NodeRequests``."""
        self._requests.send(to, event, data, include_self=include_self)

    def stream(self, request: GatherRequest) -> ReplyStream:
        """Send a request to several nodes; see ``NodeRequests``."""
        return self._requests.stream(request)

    def gather_service(
        self, name: str, data: Any, timeout: float, *, servers: bool = True, to: Collection[str] | None = None
    ) -> Coroutine[Any, Any, Replies]:
        """Send a request to a service; see ``NodeRequests``."""
        return self._requests.gather_service(name, data, timeout, servers=servers, to=to)

    def ping(self, name: str, timeout: float) -> Coroutine[Any, Any, Replies]:
        """Send a request that does nothing; see ``NodeRequests``."""
        return self._requests.ping(name, timeout)
