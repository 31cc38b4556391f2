"""The interface of what measures or traces a node, and is put around its parts when it joins its cluster."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

from crosswire.cluster.members import Members
from crosswire.cluster.requester import NodeRequests, RequestDialect
from crosswire.runtime.answering import AnsweringObserver


class NodeObserver(Protocol):
    """Sees what a node sends and handles. Without one, nothing of it is there."""

    @property
    def answering(self) -> AnsweringObserver:
        """The observer of how events of other nodes are handled."""
        ...

    def dialect(self, dialect: RequestDialect, /) -> RequestDialect:
        """Return the dialect in which the application's events and requests are sent."""
        ...

    def requests(self, requests: NodeRequests, /) -> NodeRequests:
        """Return what sends the node's events and requests through this."""
        ...

    def watches(self, requests: NodeRequests, members: Members, /) -> Iterable[Coroutine[Any, Any, None]]:
        """Return what runs in the background while the node is in its cluster."""
        ...
