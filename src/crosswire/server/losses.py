"""Counts of what a server turned away, dropped or failed at."""

from __future__ import annotations

from collections import Counter


class Losses:
    """Counts of one server, since it was made. Peers choose none of the names.

    Attributes:
        refusals: connections that were not let in, by HTTP status or close code, or by the reason for which they were
            dropped without an answer.
        messages: messages of clients that were dropped, by reason.
        held_back: how often a connection had to wait until more of it was read, by the name of the limit.
        failures: exceptions of handlers and hooks.
    """

    __slots__ = ("failures", "held_back", "messages", "refusals")

    def __init__(self) -> None:
        self.refusals: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.held_back: Counter[str] = Counter()
        self.failures = 0

    def refused(self, code: int) -> None:
        """Count a connection that was not let in, by its HTTP status or close code."""
        self.refusals[str(int(code))] += 1

    def dropped(self, reason: str) -> None:
        """Count a connection that was refused before it asked for a WebSocket, by its HTTP status or a reason."""
        self.refusals[reason] += 1
