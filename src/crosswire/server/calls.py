"""Answers that the server waits for from its clients."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, Protocol

from crosswire.core.payloads import ANY, PayloadType
from crosswire.errors import EventError, NotConnected
from crosswire.types import Replies


class CalledConnection(Protocol):
    """A connection that was called, as far as a call knows it."""

    user: str


class Waiter(Protocol):
    """Waits for answers from one connection or several.

    Attributes:
        kind: what an answer is decoded into.
    """

    kind: PayloadType

    def answered(self, by: CalledConnection, payload: Any, /) -> None:
        """A connection answered."""

    def refused(self, by: CalledConnection, error: EventError) -> None:
        """A connection refused."""

    def lost(self, by: CalledConnection, /) -> None:
        """A connection is gone, and will not answer."""


class OneAnswer:
    """Waits for the answer of one connection.

    Args:
        kind: what it is decoded into.
    """

    __slots__ = ("future", "kind")

    def __init__(self, kind: PayloadType = ANY) -> None:
        self.kind = kind
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def answered(self, _by: CalledConnection, payload: Any) -> None:
        """It answered."""
        if not self.future.done():
            self.future.set_result(payload)

    def refused(self, by: CalledConnection, error: EventError) -> None:
        """It refused."""
        error.sender = by.user
        self._fail(error)

    def lost(self, by: CalledConnection) -> None:
        """It is gone."""
        self._fail(NotConnected(f"the connection of user {by.user!r} was closed before it answered"))

    def _fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class ManyAnswers:
    """Waits for the first answer of each user, of all that user's connections.

    Args:
        users: who is asked, with or without a connection.
        asked: their connections.
        kind: what an answer is decoded into.
    """

    __slots__ = ("_answers", "_done", "_errors", "_reachable", "_user_of", "_waiting", "kind")

    def __init__(self, users: Iterable[str], asked: Collection[CalledConnection], kind: PayloadType = ANY) -> None:
        self.kind = kind
        self._waiting: dict[str, int] = dict.fromkeys(users, 0)
        # A connection may be another user's by the time it answers; it answers as who was asked.
        self._user_of = {connection: connection.user for connection in asked}
        for user in self._user_of.values():
            self._waiting[user] = self._waiting.get(user, 0) + 1
        self._reachable = sum(1 for connections in self._waiting.values() if connections)
        self._answers: dict[str, Any] = {}
        self._errors: dict[str, EventError] = {}
        self._done = asyncio.Event()
        self._less(0)

    async def wait(self, timeout: float) -> Replies:
        """Wait until all have answered or can't any more, at most ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._done.wait()
        except TimeoutError:
            pass  # who did not answer is told in `missing`
        return Replies(self._answers, errors=self._errors, missing=tuple(self._waiting))

    def answered(self, by: CalledConnection, payload: Any) -> None:
        """A connection answered: its user is done with."""
        user = self._user_of[by]
        if self._waiting.pop(user, None) is not None:
            self._answers[user] = payload
            self._less(1)

    def refused(self, by: CalledConnection, error: EventError) -> None:
        """A connection refused: its user is done with."""
        user = self._user_of[by]
        if self._waiting.pop(user, None) is not None:
            error.sender = user
            self._errors[user] = error
            self._less(1)

    def lost(self, by: CalledConnection) -> None:
        """A connection is gone; its user may still answer on another."""
        user = self._user_of[by]
        if user in self._waiting:
            self._waiting[user] -= 1
            self._less(0 if self._waiting[user] else 1)

    def _less(self, users: int) -> None:
        self._reachable -= users
        if not self._reachable:
            self._done.set()
