"""Policies of what a server sends to single connections."""

from __future__ import annotations

from typing import Any

from crosswire.core.event_policies import EventPolicies, SendPolicy
from crosswire.core.skipped_messages import Droppable, SkippedMessages


class SocketPolicies:
    """Policies of the messages to single connections of a server.

    Args:
        policies: of the server's events.
        skipped: counts what connections do not get.

    Attributes:
        declared: the policies by event.
    """

    __slots__ = ("_policies", "_skipped", "declared")

    def __init__(self, policies: EventPolicies, skipped: SkippedMessages) -> None:
        self._policies = policies
        self._skipped = skipped
        self.declared = policies.declared

    def droppable(self, event: str, data: Any, given: SendPolicy | None) -> Droppable | None:
        """Return the policy of a message, given or declared; None if it has to be sent.

        Raises:
            InvalidPayload: the data has no field that is the key.
        """
        policy = self._policies.of_message(event, data, given)
        return None if policy is None else self._skipped.droppable(policy)
