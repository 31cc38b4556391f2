"""Iteration over the replies to a request, as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from crosswire.cluster.requests import Deadline
from crosswire.core.payload_types import ANY, PayloadType
from crosswire.core.replies import AwaitedReplies
from crosswire.errors import EventError
from crosswire.types import Reply, T_co


class ReplyStream(AsyncIterator[Reply[T_co]]):
    """The replies to a ``stream``, each as it comes.

    After a loop that is left early, further replies are ignored.

    Attributes:
        missing: the names that did not answer, once the stream has ended.
    """

    def __init__(self, pending: PendingStream, forget: Callable[[], None]) -> None:
        self._pending = pending
        self._forget = forget

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the nodes that have not answered; final once the stream has ended."""
        return self._pending.missing

    def __aiter__(self) -> ReplyStream[T_co]:
        return self

    async def __anext__(self) -> Reply[T_co]:
        reply = await self._pending.next()
        if reply is None:
            self._forget()
            raise StopAsyncIteration
        return reply

    async def aclose(self) -> None:
        """End the stream; further replies are ignored."""
        self._pending.end()
        self._forget()

    def __del__(self) -> None:
        # Only the loop over the stream refers to it, and that loop was left.
        self._forget()


class PendingStream:
    """A stream that waits for replies. It keeps them until they are taken: at most one of each node that was asked.

    Args:
        names: of the nodes that are asked, as far as they are known.
        expect: how many answers are enough; None for one from each node.
        kind: the type of an answer.
    """

    __slots__ = ("_awaited", "_came", "_ended", "_replies", "deadline", "kind")

    deadline: Deadline

    def __init__(self, names: Iterable[str], expect: int | None, kind: PayloadType = ANY) -> None:
        self.kind = kind
        self._awaited = AwaitedReplies(dict.fromkeys(names, 1), expect)
        self._replies: deque[Reply] = deque()
        self._came = asyncio.Event()
        self._ended = False

    @property
    def missing(self) -> tuple[str, ...]:
        """The nodes that have not answered."""
        return self._awaited.missing

    async def next(self) -> Reply | None:
        """Wait for a reply and return it; return None when there are no more."""
        while not self._replies:
            if self._ended:
                return None
            self._came.clear()
            await self._came.wait()
        return self._replies.popleft()

    def reply(self, sender: str, data: Any, error: EventError | None) -> bool:
        """Take a reply; see :class:`~crosswire.cluster.requests.PendingRequest`."""
        if not self._ended and self._awaited.replied(sender):
            self._replies.append(Reply(sender, data, error))
            self._came.set()
        return self.settle()

    def lost(self, name: str) -> bool:
        """Give up on a node; see :class:`~crosswire.cluster.requests.PendingRequest`."""
        self._awaited.lost(name)
        return self.settle()

    def settle(self) -> bool:
        """End if nothing more is waited for; return whether the stream has ended."""
        if self._awaited.complete:
            self.end()
        return self._ended

    def end(self) -> None:
        """Take no more replies; replies that have come can still be read."""
        self._ended = True
        self._came.set()
