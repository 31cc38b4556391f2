"""Requests of a node that wait for their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, Protocol

from crosswire.core.codecs import NODE_MSGPACK, Codec
from crosswire.core.envelopes import Answer
from crosswire.core.payload_types import ANY, PayloadType, RawPayload
from crosswire.core.replies import GatheredReplies
from crosswire.errors import CallTimeout, EventError, InvalidPayload, NodeGone
from crosswire.runtime import environment
from crosswire.runtime.answer_futures import AnswerFuture
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.timer_wheel import Slot, TimerWheel
from crosswire.types import Replies

_RANDOM_BYTES = 8
"""Random bytes in the ids of a node's requests."""

logger = get_logger("crosswire.cluster")


class PendingRequest(Protocol):
    """A request that waits for its answers.

    Attributes:
        kind: the type of an answer.
        deadline: the requests whose time is over when its own is; set by :meth:`PendingRequests.begin`.
    """

    kind: PayloadType
    deadline: Deadline

    def reply(self, sender: str, data: Any, error: EventError | None) -> bool:
        """Take a reply; return whether no more replies are waited for."""
        ...

    def lost(self, name: str) -> bool:
        """Give up on a node that is gone; return whether no more replies are waited for."""
        ...

    def end(self) -> None:
        """Stop waiting, and keep the replies that came, as the time is over or the node stops."""


class Deadline:
    """The requests that begin one after the other with the same timeout, and whose time is over at the same tick.

    They share a timer: a busy node begins thousands of requests between two ticks.

    Args:
        requests: those that wait.

    Attributes:
        ids: the requests that are not answered yet.
        loop: of who waits for them, for whom looking it up each time would be a system call on Python 3.11.
        slot: of the timer wheel, with this deadline.
    """

    __slots__ = ("_requests", "ids", "loop", "slot")

    loop: asyncio.AbstractEventLoop

    def __init__(self, requests: PendingRequests) -> None:
        self._requests = requests
        self.ids: dict[str, None] = {}
        self.slot: Slot = {}

    def on_timer(self) -> None:
        """End the requests, as their time is over."""
        for call_id in tuple(self.ids):
            self._requests.time_is_over(call_id)


class PendingRequests:
    """Pending requests of a node, by id.

    The ids can't be guessed: only a node that received a request can answer it.

    Args:
        prefix: of the ids; empty where only this node sees the answers.
    """

    __slots__ = ("_count", "_deadline", "_pending", "_prefix", "_shared_until", "_timeout", "_wheel")

    def __init__(self, prefix: str = "") -> None:
        self._prefix = f"{prefix}{environment.token_hex(_RANDOM_BYTES)}"
        self._count = 0
        self._pending: dict[str, PendingRequest] = {}
        self._wheel = TimerWheel()
        self._deadline = Deadline(self)  # of the request that began last
        self._timeout = 0.0  # of the same
        self._shared_until = -inf  # time until which a request with that timeout has that deadline too

    def __len__(self) -> int:
        return len(self._pending)

    def begin(self, request: PendingRequest, timeout: float) -> str:
        """Add a request, for ``timeout`` seconds and a tick of the wheel; return the id that its answers will carry."""
        self._count += 1
        call_id = self._prefix + str(self._count)
        if timeout != self._timeout or environment.monotonic() >= self._shared_until:
            self._begin_deadline(timeout)
        request.deadline = deadline = self._deadline
        deadline.ids[call_id] = None
        self._pending[call_id] = request
        return call_id

    def begin_call(self, name: str, event: str, timeout: float, kind: PayloadType = ANY) -> PendingCall:
        """Make a request to one node, and add it; see :class:`PendingCall`, and :meth:`begin`."""
        self._count = count = self._count + 1  # as in `begin`, which would be one call more
        call_id = self._prefix + str(count)
        if timeout != self._timeout or environment.monotonic() >= self._shared_until:
            self._begin_deadline(timeout)
        deadline = self._deadline
        call = PendingCall()
        call.is_done = False
        call.error = call.go_on = None
        call._asyncio_future_blocking = True  # until a task waits for it
        call.id = call_id
        call.name = name
        call.event = event
        call.timeout = timeout
        call.kind = kind
        call.deadline = deadline
        self._pending[call_id] = call
        deadline.ids[call_id] = None
        return call

    def _begin_deadline(self, timeout: float) -> None:
        last = self._deadline
        if not last.ids:
            last.slot.pop(last, None)
        self._deadline = deadline = Deadline(self)
        deadline.loop = asyncio.get_running_loop()
        self._timeout = timeout
        deadline.slot, self._shared_until = self._wheel.add_shared(deadline, timeout)

    def _is_met(self, deadline: Deadline) -> None:
        """Drop the timer of a deadline whose requests are all answered, unless others may have it yet."""
        if deadline is not self._deadline:
            deadline.slot.pop(deadline, None)

    def forget(self, call_id: str) -> bool:
        """Remove a request; return whether there was one."""
        request = self._pending.pop(call_id, None)
        if request is None:
            return False
        deadline = request.deadline
        deadline.ids.pop(call_id, None)
        if not deadline.ids:
            self._is_met(deadline)
        return True

    def time_is_over(self, call_id: str) -> None:
        """End a request that was not answered in time."""
        request = self._pending.get(call_id)
        if request is not None and self.forget(call_id):
            try:
                request.end()
            except Exception:  # the others end all the same
                logger.exception("a request to other nodes could not be ended")

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
        except (
            Exception
        ) as failure:  # of the application's own type; the answers behind this one are taken all the same
            logger.exception("the type of an answer failed")
            text = f"the type of the answer raised {type(failure).__name__}"
            data, error = None, InvalidPayload(text, sender=sender)
        if request.reply(sender, data, error):
            self.forget(call_id)

    def all_answered(self, answers: Sequence[Answer]) -> None:
        """Pass the answers of a batch to their requests, as :meth:`answered` does with one.

        A busy node gets all of its answers so. What each of them costs is therefore done here, without further calls.
        """
        pending = self._pending
        for answer in answers:
            call_id = answer.call_id
            call = pending.get(call_id)
            if type(call) is not PendingCall or answer.sender != call.name:
                self.answered(answer.sender, call_id, NODE_MSGPACK, answer.payload)
                continue
            decode = call.kind.decode_msgpack  # functions in slots are read first: else Python looks for a method
            try:
                data = decode(answer.payload)
            except Exception:  # noqa: BLE001 - raised again, and made the error of the call
                self.answered(answer.sender, call_id, NODE_MSGPACK, answer.payload)
                continue
            del pending[call_id]
            deadline = call.deadline
            del deadline.ids[call_id]
            if not deadline.ids:
                self._is_met(deadline)
            if call.is_done:  # it was cancelled
                continue
            call.answer = data  # the rest is as in `set_result`
            call.is_done = True
            go_on = call.go_on
            if go_on is not None:
                call.go_on = None
                go_on()

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
        self._wheel.stop()
        self._shared_until = -inf
        pending, self._pending = self._pending, {}
        for request in pending.values():
            request.end()


class PendingCall(AnswerFuture[Any]):
    """A request to one node, and the future of its answer: one object, as nothing else is made as often.

    Attributes:
        id: that its answer carries.
        name: of the node.
        event: its name, for the error.
        timeout: seconds, for the error.
        kind: the type of the answer.
    """

    __slots__ = ("deadline", "event", "id", "kind", "name", "timeout")

    id: str
    name: str
    event: str
    timeout: float
    kind: PayloadType
    deadline: Deadline

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of the task that awaits it."""
        return self.deadline.loop

    def reply(self, sender: str, data: Any, error: EventError | None) -> bool:
        """Take the reply of the node that was asked; ignore replies of other nodes."""
        if sender != self.name:
            return False
        if self.is_done:
            return True
        if error is None:
            self.set_result(data)
        else:
            self.set_exception(error)
        return True

    def lost(self, name: str) -> bool:
        """Fail if the node that was asked is gone."""
        if name != self.name:
            return False
        self._fail(NodeGone(name))
        return True

    def end(self) -> None:
        """Fail with CallTimeout; see :class:`PendingRequest`."""
        self._fail(CallTimeout(f"node {self.name!r} did not answer {self.event!r} within {self.timeout} s"))

    def _fail(self, error: Exception) -> None:
        if not self.is_done:
            self.set_exception(error)


class PendingGather:
    """A request to several nodes.

    Args:
        names: of the nodes that are asked, as far as they are known.
        expect: how many answers are enough; None for one from each node.
        kind: the type of an answer.

    Attributes:
        future: all the replies.
    """

    __slots__ = ("_replies", "deadline", "future", "kind")

    deadline: Deadline

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
