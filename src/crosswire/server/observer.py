"""The interface of what traces a server, and is put around its parts before it starts."""

from __future__ import annotations

from typing import Protocol

from crosswire.runtime.answering import AnsweringObserver
from crosswire.server.client_calls import ClientCalling
from crosswire.server.router import MessageRouter


class ServerObserver(Protocol):
    """Sees what clients send and how it is handled. Without one, nothing of it is there."""

    @property
    def answering(self) -> AnsweringObserver:
        """The observer of how events of clients are handled."""
        ...

    def router(self, router: MessageRouter, /) -> MessageRouter:
        """Return what handles the messages of clients through this."""
        ...

    def client_calls(self, calls: ClientCalling, /) -> ClientCalling:
        """Return what calls single clients through this."""
        ...
