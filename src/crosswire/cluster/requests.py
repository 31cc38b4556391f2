"""What this node asked others, and waits for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Protocol

from crosswire.core.calls import PendingCalls
from crosswire.core.deadlines import Deadlines
from crosswire.core.messages import Codec
from crosswire.core.payloads import ANY, PayloadType, RawPayload
from crosswire.errors import CallTimeout, EventError, InvalidPayload, NodeGone
from crosswire.types import Replies, Reply, T_co


class Ask(Protocol):
    """Something that was asked.

    Attributes:
        kind: what an answer is decoded into.
    """

    kind: PayloadType

    def reply(self, sender: str, data: Any, error: EventError | None) -> bool:
        """Take a reply; tell whether no more are waited for."""
        ...

    def lost(self, name: str) -> bool:
        """Take note that a node is gone; tell whether no more are waited for."""
        ...

    def end(self) -> None:
        """The time is over."""


_TICK = 0.1
"""Seconds between two looks at whose time is over: one timer for all asks, as most are answered long before."""


class PendingRequests:
    """The asks of a node that are not ended, by id.

    Args:
        prefix: of the ids; empty where only this node sees the answers.
    """

    __slots__ = ("_count", "_deadlines", "_pending", "_prefix", "_ticking", "_timeouts")

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._count = 0
        self._pending: PendingCalls[Ask] = PendingCalls()
        self._timeouts: dict[str, float] = {}
        self._deadlines = Deadlines()
        self._ticking: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._pending)

    def begin(self, ask: Ask, timeout: float, loop: asyncio.AbstractEventLoop | None = None) -> str:
        """Remember an ask, for ``timeout`` seconds and a tick; return the id that its answers will name.

        ``loop`` is the running event loop, where that is known: to look for it is a system call.
        """
        loop = loop or asyncio.get_running_loop()
        self._count += 1
        call_id = f"{self._prefix}{self._count:x}"
        self._pending.add(call_id, ask)
        self._timeouts[call_id] = timeout
        self._deadlines.add(call_id, timeout, loop.time())
        if self._ticking is None:
            self._ticking = loop.call_later(_TICK, self._tick)
        return call_id

    def forget(self, call_id: str) -> Ask | None:
        """Wait no more; return the ask."""
        timeout = self._timeouts.pop(call_id, None)
        if timeout is not None:
            self._deadlines.remove(call_id, timeout)
        return self._pending.take(call_id)

    def _tick(self) -> None:
        """End the asks whose time is over."""
        loop = asyncio.get_running_loop()
        for call_id in list(self._deadlines.take_due(loop.time())):
            ask = self.forget(call_id)
            if ask is not None:
                ask.end()
        self._ticking = loop.call_later(_TICK, self._tick) if self._pending else None

    def answered(self, sender: str, call_id: str, codec: Codec, payload: RawPayload) -> None:
        """Take an answer, unless nobody waits for it."""
        ask = self._pending.get(call_id)
        if ask is None:
            return
        try:
            data, error = codec.payload(ask.kind, payload), None
        except InvalidPayload as invalid:
            data, error = None, InvalidPayload(invalid.message, sender=sender)
        if ask.reply(sender, data, error):
            self.forget(call_id)

    def refused(self, sender: str, call_id: str, error: EventError) -> None:
        """Take a refusal, unless nobody waits for it."""
        ask = self._pending.get(call_id)
        if ask is not None and ask.reply(sender, None, error):
            self.forget(call_id)

    def gone(self, name: str) -> None:
        """A node is gone and answers no more."""
        for call_id, ask in self._pending.items():
            if ask.lost(name):
                self.forget(call_id)

    def end_all(self) -> None:
        """End everything: this node stops."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        for call_id, ask in self._pending.items():
            self.forget(call_id)
            ask.end()


class OneAsk:
    """Waits for one node.

    Args:
        name: of the node.
        what: of the event, for the error.
        timeout: seconds, for the error.
        loop: the running event loop.
        kind: what its answer is decoded into.
    """

    __slots__ = ("_name", "_timeout", "_what", "future", "kind")

    def __init__(
        self, name: str, what: str, timeout: float, loop: asyncio.AbstractEventLoop, kind: PayloadType = ANY
    ) -> None:
        self.kind = kind
        self._name = name
        self._what = what
        self._timeout = timeout
        self.future: asyncio.Future[Any] = loop.create_future()

    def reply(self, sender: str, data: Any, error: EventError | None) -> bool:
        """Take its answer; nobody else was asked."""
        if sender != self._name:
            return False
        if not self.future.done():
            if error is None:
                self.future.set_result(data)
            else:
                self.future.set_exception(error)
        return True

    def lost(self, name: str) -> bool:
        """It died."""
        if name != self._name:
            return False
        self._fail(NodeGone(name))
        return True

    def end(self) -> None:
        """It did not answer."""
        self._fail(CallTimeout(f"node {self._name!r} did not answer {self._what!r} within {self._timeout} s"))

    def _fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Awaited:
    """Who is still to answer.

    Args:
        names: who was asked, as far as that is known.
        expect: how many answers are waited for, whoever gives them; None for one of each who was asked.
    """

    __slots__ = ("_answered", "_expect", "_lost", "_waiting")

    def __init__(self, names: Collection[str], expect: int | None) -> None:
        self._waiting = dict.fromkeys(names)
        self._expect = expect
        self._answered: set[str] = set()
        self._lost: list[str] = []

    def answers(self, sender: str) -> bool:
        """Take note of an answer; tell whether it counts: that of somebody who was asked, and the first."""
        if sender in self._answered or (self._expect is None and sender not in self._waiting):
            return False
        self._answered.add(sender)
        self._waiting.pop(sender, None)
        return True

    def loses(self, name: str) -> None:
        """Take note that a node will not answer."""
        if name in self._waiting:
            del self._waiting[name]
            self._lost.append(name)

    @property
    def over(self) -> bool:
        """Whether nothing more is to be waited for."""
        return not self._waiting if self._expect is None else len(self._answered) >= self._expect

    @property
    def missing(self) -> tuple[str, ...]:
        """Who did not answer; nobody, if those who did were enough."""
        if self._expect is not None and len(self._answered) >= self._expect:
            return ()
        return (*self._lost, *self._waiting)


class GatherAsk:
    """Waits for many, and gives their answers at once."""

    __slots__ = ("_answers", "_awaited", "_errors", "_expect", "future", "kind")

    def __init__(self, awaited: Awaited, expect: int | None, kind: PayloadType = ANY) -> None:
        self.kind = kind
        self._awaited = awaited
        self._expect = expect or 0
        self._answers: dict[str, Any] = {}
        self._errors: dict[str, EventError] = {}
        self.future: asyncio.Future[Replies] = asyncio.get_running_loop().create_future()

    def reply(self, sender: str, data: Any, error: EventError | None) -> bool:
        """Take a reply."""
        if self._awaited.answers(sender):
            if error is None:
                self._answers[sender] = data
            else:
                self._errors[sender] = error
        return self.settle()

    def lost(self, name: str) -> bool:
        """A node is gone."""
        self._awaited.loses(name)
        return self.settle()

    def settle(self) -> bool:
        """End if nothing more is to be waited for; tell whether it did."""
        if self._awaited.over:
            self.end()
            return True
        return False

    def end(self) -> None:
        """Give what there is."""
        if not self.future.done():
            missing = self._awaited.missing
            self.future.set_result(Replies(self._answers, errors=self._errors, missing=missing, expected=self._expect))


class ReplyStream(AsyncIterator[Reply[T_co]]):
    """The replies to a ``stream``, each as it comes.

    Leaving the loop early forgets those that have not come.

    Attributes:
        missing: when the stream has ended, who did not answer.
    """

    def __init__(self, inbox: StreamInbox, forget: Callable[[], None]) -> None:
        self._inbox = inbox
        self._forget = forget

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of those who have not answered, while it goes on; of those who did not, when it has ended."""
        return self._inbox.missing

    def __aiter__(self) -> ReplyStream[T_co]:
        return self

    async def __anext__(self) -> Reply[T_co]:
        reply = await self._inbox.next()
        if reply is None:
            self._forget()
            raise StopAsyncIteration
        return reply

    async def aclose(self) -> None:
        """Forget the replies that have not come."""
        self._inbox.end()
        self._forget()

    def __del__(self) -> None:
        # Nothing refers to the stream but the loop over it: it was left.
        self._forget()


class StreamInbox:
    """Keeps the replies of a stream until they are taken: at most one of each who was asked."""

    __slots__ = ("_awaited", "_came", "_ended", "_replies", "kind")

    def __init__(self, awaited: Awaited, kind: PayloadType = ANY) -> None:
        self.kind = kind
        self._awaited = awaited
        self._replies: deque[Reply] = deque()
        self._came = asyncio.Event()
        self._ended = False

    @property
    def missing(self) -> tuple[str, ...]:
        """Who has not answered."""
        return self._awaited.missing

    async def next(self) -> Reply | None:
        """Wait for a reply; None when there are no more."""
        while not self._replies:
            if self._ended:
                return None
            self._came.clear()
            await self._came.wait()
        return self._replies.popleft()

    def reply(self, sender: str, data: Any, error: EventError | None) -> bool:
        """Take a reply."""
        if not self._ended and self._awaited.answers(sender):
            self._replies.append(Reply(sender, data, error))
            self._came.set()
        return self.settle()

    def lost(self, name: str) -> bool:
        """A node is gone."""
        self._awaited.loses(name)
        return self.settle()

    def settle(self) -> bool:
        """End if nothing more is to be waited for; tell whether it did."""
        if self._awaited.over:
            self.end()
        return self._ended

    def end(self) -> None:
        """No more replies are taken; those that came can still be read."""
        self._ended = True
        self._came.set()
