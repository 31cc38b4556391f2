"""The two responders of a node, one for the application's events and one for services."""

from __future__ import annotations

from collections.abc import Sequence

from crosswire.cluster.bus_delay import PING
from crosswire.cluster.dialect import AskedRequest, Asker
from crosswire.cluster.responder import Responder
from crosswire.core.codecs import NODE_MSGPACK, Codec
from crosswire.core.envelopes import SERVICE
from crosswire.core.payload_types import RawPayload

_PING = SERVICE + PING


class Responders:
    """Pass events and requests of other nodes to the application's handlers, or to the node's own services.

    Args:
        application: handles the application's events.
        services: handles the requests with which nodes carry out the methods of audiences.

    Attributes:
        alive: whether this node answers the question whether it is alive; not when it has left, or lost its name.
    """

    __slots__ = ("alive", "application", "services")

    def __init__(self, application: Responder, services: Responder) -> None:
        self.application = application
        self.services = services
        self.alive = True

    def hold(self) -> None:
        """Keep events and requests until each responder is released, as the node starts."""
        self.alive = True
        self.application.hold()
        self.services.hold()

    def drop(self) -> None:
        """Discard the events whose handlers have not begun."""
        self.application.drop()
        self.services.drop()

    def event(self, sender: str, event: str, codec: Codec, payload: RawPayload, traceparent: str | None = None) -> None:
        if event.startswith(SERVICE):
            self.services.event(sender, event[len(SERVICE) :], codec, payload)
        else:
            self.application.event(sender, event, codec, payload, traceparent)

    def request(
        self,
        asker: Asker,
        sender: str,
        event: str,
        codec: Codec,
        payload: RawPayload,
        traceparent: str | None = None,
    ) -> None:
        if event == _PING:  # answered even while requests are kept: others ask whether this node is alive
            if self.alive:
                asker.answer(None)
        elif event.startswith(SERVICE):
            self.services.request(asker, sender, event[len(SERVICE) :], codec, payload)
        else:
            self.application.request(asker, sender, event, codec, payload, traceparent)

    def all_requested(self, asked: Sequence[AskedRequest]) -> None:
        self.application.all_requested(asked, self._request_of_node)

    def _request_of_node(self, asked: AskedRequest) -> None:
        request = asked.request
        self.request(asked, request.sender, request.event, NODE_MSGPACK, request.payload, request.traceparent)
