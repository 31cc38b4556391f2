"""Fake members of rooms."""

from __future__ import annotations

from crosswire.core.formats import JSON_TEXT, Encoded, Format


class FakeMember:
    """A connection that keeps what is pushed to it."""

    def __init__(self, user: str, format: Format = JSON_TEXT) -> None:
        self.id = f"socket of {user}"
        self.user = user
        self.format = format
        self.pushed: list[Encoded] = []

    def __repr__(self) -> str:
        return f"<FakeMember {self.user}>"

    def push(self, encoded: Encoded, /) -> None:
        self.pushed.append(encoded)
