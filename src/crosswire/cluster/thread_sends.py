"""Sending from other threads than the event loop's: the data is taken at once, the rest is left to the loop."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from crosswire.cluster.connection import ClusterConnection
from crosswire.core.codecs import JSON
from crosswire.core.event_policies import SendPolicy
from crosswire.core.names import require_event
from crosswire.core.targets import Excluded, Target
from crosswire.runtime.thread_calls import ThreadCalls


class ThreadSends:
    """Sends for threads that are not the event loop's, in the order in which each of them sends.

    The data is encoded in the thread: so what can't be encoded raises there, and later changes of it have no effect.

    Args:
        calls: makes calls in the event loop.
        connection: returns the node's connection to the cluster, in any thread; raises if there is none.
    """

    __slots__ = ("_calls", "_connection")

    def __init__(self, calls: ThreadCalls, connection: Callable[[], ClusterConnection]) -> None:
        self._calls = calls
        self._connection = connection

    def to_clients(
        self,
        send: Callable[..., None],
        target: Target,
        event: str,
        data: Any,
        exclude: Excluded | None,
        local: bool,
        policy: SendPolicy | None,
    ) -> None:
        """Call ``send``, a method of a dispatcher, with these arguments."""
        compat = self._connection().compat
        if compat is not None and not local:
            compat.check(target, exclude)
        text = JSON.encode(data)
        self._calls.hand_over(len(text), send, target, event, msgspec.Raw(text), exclude, local, policy)

    def to_nodes(
        self, send: Callable[..., None], to: Collection[str] | None, event: str, data: Any, include_self: bool
    ) -> None:
        """Call ``send``, a node's method, with these arguments."""
        payload = self._connection().dialect.pack(data)
        self._calls.hand_over(len(payload), send, require_event(event), payload, to=to, include_self=include_self)

    def publish(self, publish: Callable[..., None], channel: str, data: Any) -> None:
        """Call ``publish``, a node's method, with these arguments."""
        payload = self._connection().dialect.pack(data)
        self._calls.hand_over(len(payload), publish, require_event(channel), payload)
