"""Requests of a node that wait for their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from crosswire.core.codecs import Codec
from crosswire.core.payload_types import ANY, PayloadType, RawPayload
from crosswire.core.replies import GatheredReplies
from crosswire.errors import CallTimeout, EventError, InvalidPayload, NodeGone
from crosswire.runtime import environment
from crosswire.runtime.lanes import AnswerFuture
from crosswire.runtime.timer_wheel import Slot, TimerWheel
from crosswire.types import Replies

_RANDOM_BYTES = 8
"""Random bytes in the ids of a node's requests."""


class PendingRequest(Protocol):
    """A request that waits for its answers.

    Attributes:
        kind: the type of an answer.
        call_id: the id that its answers carry; it and the following are set by :meth:`PendingRequests.begin`.
        slot: of the timer wheel, with the request.
        requests: all those of the node.
    """

    kind: PayloadType
    call_id: str
    slot: Slot
    requests: PendingRequests

    def reply(self, sender: str, data: Any, error: EventError | None) -> bool:
        """Take a reply; return whether no more replies are waited for."""
        ...

    def lost(self, name: str) -> bool:
        """Give up on a node that is gone; return whether no more replies are waited for."""
        ...

    def end(self) -> None:
        """Stop waiting, and keep the replies that came, as the time is over or the node stops."""

    def on_timer(self) -> None:
        """End the request, as its time is over."""


class TimedRequest:
    """The part of a pending request that its timer calls; an object of its own for it would cost each call."""

    __slots__ = ()

    call_id: str
    slot: Slot
    requests: PendingRequests

    def on_timer(self: PendingRequest) -> None:
        """End the request, as its time is over."""
        if self.requests.forget(self.call_id):
            self.end()


class PendingRequests:
    """Pending requests of a node, by id.

    The ids can't be guessed: only a node that received a request can answer it.

    Args:
        prefix: of the ids; empty where only this node sees the answers.

    Attributes:
        wheel: the timers of the requests.
    """

    __slots__ = ("_count", "_pending", "_prefix", "wheel")

    def __init__(self, prefix: str = "") -> None:
        self._prefix = f"{prefix}{environment.token_hex(_RANDOM_BYTES)}"
        self._count = 0
        self._pending: dict[str, PendingRequest] = {}
        self.wheel = TimerWheel()

    def __len__(self) -> int:
        return len(self._pending)

    def begin(self, request: PendingRequest, timeout: float) -> str:
        """Add a request, for ``timeout`` seconds and a tick of the wheel; return the id that its answers will carry."""
        self._count += 1
        request.call_id = call_id = f"{self._prefix}{self._count:x}"
        request.requests = self
        request.slot = self.wheel.add(request, timeout)
        self._pending[call_id] = request
        return call_id

    def forget(self, call_id: str) -> bool:
        """Remove a request; return whether there was one."""
        request = self._pending.pop(call_id, None)
        if request is None:
            return False
        request.slot.pop(request, None)
        return True

    def answered(self, sender: str, call_id: str, codec: Codec, payload: RawPayload) -> None:
        """Pass an answer to its request; ignore it if no request waits for it."""
        request = self._pending.get(call_id)
        if request is None:
            return
        error: EventError | None
        try:
            data, error = codec.payload(request.kind, payload), None
        except InvalidPayload as invalid:
            data, error = None, InvalidPayload(invalid.message, sender=sender)
        if request.reply(sender, data, error):
            self._pending.pop(call_id, None)
            request.slot.pop(request, None)

    def refused(self, sender: str, call_id: str, error: EventError) -> None:
        """Pass a refusal to its request; ignore it if no request waits for it."""
        request = self._pending.get(call_id)
        if request is not None and request.reply(sender, None, error):
            self.forget(call_id)

    def gone(self, name: str) -> None:
        """Stop waiting for answers of a node that is gone."""
        for call_id, request in list(self._pending.items()):
            if request.lost(name):
                self.forget(call_id)

    def end_all(self) -> None:
        """End all requests, as this node stops."""
        self.wheel.stop()
        pending, self._pending = self._pending, {}
        for request in pending.values():
            request.end()


class PendingCall(AnswerFuture[Any], TimedRequest):
    """A request to one node, and the future of its answer: one object, as nothing else is made as often.

    Args:
        name: of the node.
        event: its name, for the error.
        timeout: seconds, for the error.
        loop: the running event loop.
        kind: the type of the answer.
    """

    __slots__ = ("_event", "_name", "_timeout", "call_id", "kind", "requests", "slot")

    def __init__(
        self, name: str, event: str, timeout: float, loop: asyncio.AbstractEventLoop, kind: PayloadType = ANY
    ) -> None:
        asyncio.Future.__init__(self, loop=loop)  # past that of AnswerFuture, which does no more than this and the next
        self.go_on = None
        self.kind = kind
        self._name = name
        self._event = event
        self._timeout = timeout

    def reply(self, sender: str, data: Any, error: EventError | None) -> bool:
        """Take the reply of the node that was asked; ignore replies of other nodes."""
        if sender != self._name:
            return False
        if not self.done():
            if error is None:
                self.set_result(data)
            else:
                self.set_exception(error)
            self.settled()
        return True

    def lost(self, name: str) -> bool:
        """Fail if the node that was asked is gone."""
        if name != self._name:
            return False
        self._fail(NodeGone(name))
        return True

    def end(self) -> None:
        """Fail with CallTimeout; see :class:`PendingRequest`."""
        self._fail(CallTimeout(f"node {self._name!r} did not answer {self._event!r} within {self._timeout} s"))

    def _fail(self, error: Exception) -> None:
        if not self.done():
            self.set_exception(error)
            self.settled()


class PendingGather(TimedRequest):
    """A request to several nodes.

    Args:
        names: of the nodes that are asked, as far as they are known.
        expect: how many answers are enough; None for one from each node.
        kind: the type of an answer.

    Attributes:
        future: all the replies.
    """

    __slots__ = ("_replies", "call_id", "future", "kind", "requests", "slot")

    def __init__(self, names: Iterable[str], expect: int | None, kind: PayloadType = ANY) -> None:
        self.kind = kind
        self._replies = GatheredReplies(dict.fromkeys(names, 1), expect)
        self.future: asyncio.Future[Replies] = asyncio.get_running_loop().create_future()

    def reply(self, sender: str, data: Any, error: EventError | None) -> bool:
        """Take a reply; see :class:`PendingRequest`."""
        if error is None:
            self._replies.answered(sender, data)
        else:
            self._replies.refused(sender, error)
        return self.settle()

    def lost(self, name: str) -> bool:
        """Give up on a node; see :class:`PendingRequest`."""
        self._replies.lost(name)
        return self.settle()

    def settle(self) -> bool:
        """End if no more replies are waited for; return whether that is so."""
        if self._replies.complete:
            self.end()
            return True
        return False

    def end(self) -> None:
        """Set the future to the replies that came."""
        if not self.future.done():
            self.future.set_result(self._replies.result())
