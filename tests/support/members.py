"""Fake members of rooms."""

from __future__ import annotations

from crosswire.core.formats import JSON_TEXT, AnyOutbox, Encoded, Format
from crosswire.core.skipped_messages import Droppable


class FakeMember:
    """A connection that keeps what is pushed to it."""

    def __init__(self, user: str, format: Format = JSON_TEXT) -> None:
        self.id = f"socket of {user}"
        self.user = user
        self.format = format
        self.pushed: list[Encoded] = []
        self.offered: list[tuple[Encoded, Droppable]] = []
        self.behind = False
        self.fd = -1

    def __repr__(self) -> str:
        return f"<FakeMember {self.user}>"

    @property
    def outbox(self) -> AnyOutbox:
        return self

    def push(self, encoded: Encoded, /) -> None:
        self.pushed.append(encoded)

    def offer(self, encoded: Encoded, droppable: Droppable, /) -> None:
        """Keep a message that need not be sent."""
        self.offered.append((encoded, droppable))
