"""Metrics of one server: what it counts while it runs, and what its state shows when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crosswire.core.metric_families import MetricFamily, counter, gauge, labelled
from crosswire.core.payload_types import PayloadType
from crosswire.core.skipped_messages import SkippedMessages
from crosswire.core.tallies import EventHistograms
from crosswire.runtime import environment
from crosswire.runtime.measured_answering import AnsweredCall, AnswerTimes, MeasuredAnswering
from crosswire.server.client_calls import CallableClient, ClientCalling
from crosswire.server.connected_client import ConnectedClient
from crosswire.server.losses import Losses
from crosswire.server.received_messages import ReceivedMessages
from crosswire.server.recoveries import Recoveries
from crosswire.server.registry import Registry
from crosswire.server.sent_messages import SentMessages
from crosswire.server.sessions import Sessions
from crosswire.server.socket import Socket


class ServerMetrics:
    """Counts of one server, and the state that they are shown with.

    Args:
        registry: the connections by user and room.
        sessions: all connections.
        losses: what the server turned away, dropped or failed at.
        skipped: messages that clients who were behind did not get.
        recoveries: what clients got from the history of rooms.

    Attributes:
        answering: measures the handling of clients' events.
        received: messages of clients.
        sent: messages to clients.
        calls: durations of calls to clients.
    """

    __slots__ = (
        "_answers",
        "_losses",
        "_recoveries",
        "_registry",
        "_sessions",
        "_skipped",
        "answering",
        "calls",
        "received",
        "sent",
    )

    def __init__(
        self,
        registry: Registry[ConnectedClient[Socket]],
        sessions: Sessions,
        losses: Losses,
        skipped: SkippedMessages,
        recoveries: Recoveries,
    ) -> None:
        self._registry = registry
        self._sessions = sessions
        self._losses = losses
        self._skipped = skipped
        self._recoveries = recoveries
        self._answers = AnswerTimes()
        answered = AnsweredCall()
        self.received = ReceivedMessages()
        self.sent = SentMessages(answered)
        self.answering = MeasuredAnswering(self._answers, answered, self.received.event)
        self.calls = EventHistograms()

    def families(self) -> Iterator[MetricFamily]:
        """Return the metrics of now."""
        yield from self._state()
        yield from self.received.families()
        yield from self.sent.families()
        yield from self._answers.families(
            ("crosswire_call_seconds", "Seconds from a client's call to its answer, by event."),
            ("crosswire_calls_refused", "Calls of clients that were refused, by code."),
        )
        yield self.calls.family("crosswire_client_call_seconds", "Seconds from a call of a client to its answer.")
        yield from self._recoveries.families()
        yield from self._lost()

    def _state(self) -> Iterator[MetricFamily]:
        users = self._registry.users
        sessions = list(self._sessions)  # copied at once: this may be another thread than the event loop's
        waiting = sum([session.client.buffered for session in sessions])
        yield gauge("crosswire_connections", "Connections that are let in.", len(users.members))
        yield gauge("crosswire_users", "Users that are connected.", len(users.users))
        yield gauge("crosswire_rooms", "Rooms with members on this server.", self._registry.rooms.number)
        yield gauge("crosswire_outbox_bytes", "Bytes that wait to be sent, of all connections.", waiting)
        yield counter("crosswire_connections_opened", "Upgrades that were granted.", self._sessions.opened)

    def _lost(self) -> Iterator[MetricFamily]:
        losses, closes = self._losses, self._sessions.closes
        yield _counts("crosswire_connections_closed", "Connections that ended, by close code.", "code", closes)
        yield _counts(
            "crosswire_connections_refused",
            "Connections that were not let in, by HTTP status, close code or reason.",
            "code",
            losses.refusals,
        )
        yield _counts("crosswire_messages_dropped", "Messages of clients that were dropped.", "reason", losses.messages)
        yield self._skipped.family()
        yield _counts(
            "crosswire_connections_held_back",
            "Times that a connection was over a rate and was read later.",
            "limit",
            losses.held_back,
        )
        yield counter("crosswire_handler_errors", "Exceptions of handlers and hooks.", losses.failures)


class MeasuredClientCalls:
    """Calls single clients, and counts how long they take.

    Args:
        calls: calls them.
        seconds: the durations, by event.
    """

    __slots__ = ("_calls", "_seconds")

    def __init__(self, calls: ClientCalling, seconds: EventHistograms) -> None:
        self._calls = calls
        self._seconds = seconds

    async def call(self, client: CallableClient, event: str, data: Any, timeout: float, kind: PayloadType) -> Any:
        """Call a client and return its answer; see ``Socket.call``."""
        began = environment.perf_counter()
        try:
            return await self._calls.call(client, event, data, timeout, kind)
        finally:
            self._seconds.observe(event, environment.perf_counter() - began)


def _counts(name: str, text: str, label: str, counts: dict[str, int]) -> MetricFamily:
    return labelled("counter", name, text, (label,), [((each,), number) for each, number in list(counts.items())])
