"""Counts of the messages that clients send to a server."""

from __future__ import annotations

from collections.abc import Iterator

from crosswire.core.codecs import JSON, Codec
from crosswire.core.metric_families import MetricFamily
from crosswire.core.tallies import OTHER, EventTotals
from crosswire.server.router import MessageRouter
from crosswire.server.session_view import SessionView

_COUNTED = -1
"""Size of a message that has been counted."""


class ReceivedMessages:
    """Number and bytes of the messages of clients, by event.

    Only events that have a handler are counted by themselves: no client can bring up a name.

    Attributes:
        size: bytes of the message that is about to be handled; negative once it is counted.
    """

    __slots__ = ("_known", "_totals", "size")

    def __init__(self) -> None:
        self._totals = EventTotals()
        self._known = self._totals.known
        self.size = _COUNTED

    def event(self, name: str) -> None:
        """Count the message as an event that has a handler; called before the handler."""
        totals = self._known.get(name) or self._totals.admit(name)
        totals[0] += 1
        totals[1] += self.size
        self.size = _COUNTED

    def other(self) -> None:
        """Count the message, as it was no event that has a handler."""
        self._totals.add(OTHER, 1, self.size)
        self.size = _COUNTED

    def families(self) -> Iterator[MetricFamily]:
        """Return the counts as metrics."""
        return self._totals.families(
            (
                "crosswire_messages_received",
                'Messages of clients, by event; "other" are answers and what has no handler.',
            ),
            ("crosswire_received_bytes", "Bytes of these messages, without frames."),
        )


class CountingRouter:
    """A :class:`~crosswire.server.router.MessageRouter` that counts the messages.

    Args:
        router: handles them.
        received: the counts.
    """

    __slots__ = ("_received", "_router")

    def __init__(self, router: MessageRouter, received: ReceivedMessages) -> None:
        self._router = router
        self._received = received

    def receive(self, session: SessionView, codec: Codec, data: str | bytes) -> bool:
        """Handle one message of a client, and count it; return False if it was postponed instead."""
        received = self._received
        received.size = len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())
        if not self._router.receive(session, codec, data):
            return False
        if received.size >= 0:
            received.other()
        return True

    def receive_text(self, session: SessionView, text: str) -> bool:
        """Do the same with a text message."""
        return self.receive(session, JSON, text)

    def refused(self, session: SessionView, codec: Codec, data: str | bytes) -> bool:
        """Refuse a message that has waited for too long if it is a call, and count it then."""
        refused = self._router.refused(session, codec, data)
        if refused:
            self._received.size = len(data if isinstance(data, bytes) else data.encode())
            self._received.other()
        return refused

    def answered(self, session: SessionView, codec: Codec, data: str | bytes) -> bool:
        """Handle a message if it is the answer to a call of this server, and count it then."""
        answered = self._router.answered(session, codec, data)
        if answered:
            self._received.size = len(data if isinstance(data, bytes) else data.encode())
            self._received.other()
        return answered
