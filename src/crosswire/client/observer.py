"""The interface of what traces a client, and is put around its parts before it connects."""

from __future__ import annotations

from typing import Protocol

from crosswire.client.calls import Calling
from crosswire.client.router import MessageRouter
from crosswire.runtime.answering import AnsweringObserver


class ClientObserver(Protocol):
    """Sees what a client sends and handles. Without one, nothing of it is there."""

    @property
    def answering(self) -> AnsweringObserver:
        """The observer of how events of the server are handled."""
        ...

    def router(self, router: MessageRouter, /) -> MessageRouter:
        """Return what handles the messages of the server through this."""
        ...

    def calls(self, calls: Calling, /) -> Calling:
        """Return what calls the server through this."""
        ...

    def traceparent(self) -> str | None:
        """Return the ``traceparent`` of a message that is about to be sent; None for none."""
        ...
