"""The two responders of a node, and which of them takes what comes."""

from __future__ import annotations

from crosswire.cluster.dialect import Asker
from crosswire.cluster.responder import Responder
from crosswire.core.codecs import Codec
from crosswire.core.envelopes import SERVICE
from crosswire.core.payload_types import RawPayload


class Responders:
    """Pass events and requests of other nodes to the application's handlers, or to the node's own services.

    Args:
        application: handles the application's events.
        services: handles what nodes ask each other by themselves.
    """

    __slots__ = ("application", "services")

    def __init__(self, application: Responder, services: Responder) -> None:
        self.application = application
        self.services = services

    def hold(self) -> None:
        """Keep what comes until each responder is released."""
        self.application.hold()
        self.services.hold()

    def drop(self) -> None:
        """Forget what has not begun."""
        self.application.drop()
        self.services.drop()

    def event(self, sender: str, event: str, codec: Codec, payload: RawPayload) -> None:
        if event.startswith(SERVICE):
            self.services.event(sender, event[len(SERVICE) :], codec, payload)
        else:
            self.application.event(sender, event, codec, payload)

    def request(self, asker: Asker, sender: str, event: str, codec: Codec, payload: RawPayload) -> None:
        if event.startswith(SERVICE):
            self.services.request(asker, sender, event[len(SERVICE) :], codec, payload)
        else:
            self.application.request(asker, sender, event, codec, payload)
