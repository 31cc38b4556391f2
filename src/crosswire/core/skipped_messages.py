"""Messages that connections need not get, and the numbers of those that they did not get."""

from __future__ import annotations

from crosswire.core.event_policies import DropPolicyName, MessagePolicy
from crosswire.core.metric_families import MetricFamily, labelled
from crosswire.core.tallies import MAX_EVENT_NAME, MAX_EVENTS, OTHER

DROPPABLE_OVERHEAD = 256
"""Bytes by which a message that may be dropped takes more than another one that waits: it has to be found again."""


class Droppable:
    """The policy of one message, for all connections that it is handed to, and the number of those that miss it.

    Attributes:
        policy: name of its policy.
        place: event and key; with "latest" a newer message of the same place replaces an older one that waits.
        size: bytes that it takes in an outbox besides its frame.
    """

    __slots__ = ("_number", "place", "policy", "size")

    def __init__(self, policy: MessagePolicy, number: list[int]) -> None:
        self.policy = policy.name
        self.place = policy.event, policy.key
        self.size = DROPPABLE_OVERHEAD + len(policy.event) + len(policy.key or "")
        self._number = number

    def skipped(self) -> None:
        """Count that a connection does not get the message."""
        self._number[0] += 1


class SkippedMessages:
    """Numbers of messages that connections were not sent, as they were behind: by event and policy.

    At most ``MAX_EVENTS`` events have a number of their own in each policy; all others are counted as :data:`OTHER`.
    """

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, DropPolicyName], list[int]] = {}

    def droppable(self, policy: MessagePolicy) -> Droppable:
        """Return what an outbox has to know of a message with a policy."""
        numbers, event = self._numbers, policy.event
        number = numbers.get((event, policy.name))
        if number is None:
            if len(numbers) >= MAX_EVENTS or len(event) > MAX_EVENT_NAME:
                event = OTHER
            number = numbers.setdefault((event, policy.name), [0])
        return Droppable(policy, number)

    @property
    def by_event(self) -> dict[str, int]:
        """The numbers by event, without those that are 0."""
        totals: dict[str, int] = {}
        for (event, _), (number,) in list(self._numbers.items()):
            if number:
                totals[event] = totals.get(event, 0) + number
        return totals

    def family(self) -> MetricFamily:
        """Return the numbers as a metric."""
        values = [((event, policy), float(number)) for (event, policy), (number,) in list(self._numbers.items())]
        text = "Messages that connections were not sent, as their clients read too slowly."
        return labelled("counter", "crosswire_messages_skipped", text, ("event", "policy"), values)
