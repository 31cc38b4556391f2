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
from crosswire.runtime.timer_wheel import TimerWheel
from crosswire.types import Replies

_RANDOM_BYTES = 8
"""Random bytes in the ids of a node's requests."""


class PendingRequest(Protocol):
    """A request that waits for its answers.

    Attributes:
        kind: the type of an answer.
    """

    kind: PayloadType

    def reply(self, sender: str, data: Any, error: EventError | None) -> bool:
        """Take a reply; return whether no more replies are waited for."""
        ...

    def lost(self, name: str) -> bool:
        """Give up on a node that is gone; return whether no more replies are waited for."""
        ...

    def end(self) -> None:
        """Stop waiting, and keep the replies that came, as the time is over or the node stops."""


class _TimedRequest:
    """A pending request and its timer."""

    __slots__ = ("_call_id", "_requests", "request", "slot")

    def __init__(self, request: PendingRequest, call_id: str, requests: PendingRequests, timeout: float) -> None:
        self.request = request
        self._call_id = call_id
        self._requests = requests
        self.slot = requests.wheel.add(self, timeout)

    def on_timer(self) -> None:
        """End the request, as its time is over."""
        if self._requests.forget(self._call_id):
            self.request.end()


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
        self._pending: dict[str, _TimedRequest] = {}
        self.wheel = TimerWheel()

    def __len__(self) -> int:
        return len(self._pending)

    def begin(self, request: PendingRequest, timeout: float) -> str:
        """Add a request, for ``timeout`` seconds and a tick of the wheel; return the id that its answers will carry."""
        self._count += 1
        call_id = f"{self._prefix}{self._count:x}"
        self._pending[call_id] = _TimedRequest(request, call_id, self, timeout)
        return call_id

    def forget(self, call_id: str) -> bool:
        """Remove a request; return whether there was one."""
        pending = self._pending.pop(call_id, None)
        if pending is None:
            return False
        pending.slot.pop(pending, None)
        return True

    def answered(self, sender: str, call_id: str, codec: Codec, payload: RawPayload) -> None:
        """Pass an answer to its request; ignore it if no request waits for it."""
        pending = self._pending.get(call_id)
        if pending is None:
            return
        request = pending.request
        error: EventError | None
        try:
            data, error = codec.payload(request.kind, payload), None
        except InvalidPayload as invalid:
            data, error = None, InvalidPayload(invalid.message, sender=sender)
        if request.reply(sender, data, error):
            self.forget(call_id)

    def refused(self, sender: str, call_id: str, error: EventError) -> None:
        """Pass a refusal to its request; ignore it if no request waits for it."""
        pending = self._pending.get(call_id)
        if pending is not None and pending.request.reply(sender, None, error):
            self.forget(call_id)

    def gone(self, name: str) -> None:
        """Stop waiting for answers of a node that is gone."""
        for call_id, pending in list(self._pending.items()):
            if pending.request.lost(name):
                self.forget(call_id)

    def end_all(self) -> None:
        """End all requests, as this node stops."""
        self.wheel.stop()
        pending, self._pending = self._pending, {}
        for each in pending.values():
            each.request.end()


class PendingCall:
    """A request to one node.

    Args:
        name: of the node.
        event: its name, for the error.
        timeout: seconds, for the error.
        loop: the running event loop.
        kind: the type of the answer.

    Attributes:
        future: the answer.
    """

    __slots__ = ("_event", "_name", "_timeout", "future", "kind")

    def __init__(
        self, name: str, event: str, timeout: float, loop: asyncio.AbstractEventLoop, kind: PayloadType = ANY
    ) -> None:
        self.kind = kind
        self._name = name
        self._event = event
        self._timeout = timeout
        self.future: AnswerFuture[Any] = AnswerFuture(loop)

    def reply(self, sender: str, data: Any, error: EventError | None) -> bool:
        """Take the reply of the node that was asked; ignore replies of other nodes."""
        if sender != self._name:
            return False
        if not self.future.done():
            if error is None:
                self.future.set_result(data)
            else:
                self.future.set_exception(error)
            self.future.settled()
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
        if not self.future.done():
            self.future.set_exception(error)
            self.future.settled()


class PendingGather:
    """A request to several nodes.

    Args:
        names: of the nodes that are asked, as far as they are known.
        expect: how many answers are enough; None for one from each node.
        kind: the type of an answer.

    Attributes:
        future: all the replies.
    """

    __slots__ = ("_replies", "future", "kind")

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
