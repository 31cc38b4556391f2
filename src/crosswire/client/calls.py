"""The calls of one connection that wait for their answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple, Protocol

from crosswire.client.hooks import Hooks
from crosswire.core.codecs import Codec
from crosswire.core.listeners import Hook
from crosswire.core.payload_types import PayloadType, RawPayload, decode_answer
from crosswire.core.pending_calls import CallIds, PendingCalls
from crosswire.errors import CallTimeout, InvalidPayload, NotConnected
from crosswire.types import Close

Pending = Callable[[], Any]


class _Waiter(NamedTuple):
    """The future of an answer, and the type it is decoded into."""

    answer: asyncio.Future[Any]
    kind: PayloadType


class Calling(Protocol):
    """Calls a server on one connection: :class:`Calls`, or what traces them."""

    async def call(
        self,
        event: str,
        send: Callable[[str], None],
        timeout: float,
        on_pending: Pending | None,
        pending_after: float,
        kind: PayloadType,
    ) -> Any:
        """Send a call and wait for its answer; see :meth:`Calls.call`."""


class Calls:
    """Matches answers to the calls of one connection.

    Args:
        ids: shared by all connections of a client, so that a late answer never meets another call.
        hooks: where a failing ``on_pending`` is reported.
    """

    __slots__ = ("_hooks", "_ids", "_pending")

    def __init__(self, ids: CallIds, hooks: Hooks) -> None:
        self._ids = ids
        self._hooks = hooks
        self._pending: PendingCalls[_Waiter] = PendingCalls()

    async def call(
        self,
        event: str,
        send: Callable[[str], None],
        timeout: float,
        on_pending: Pending | None,
        pending_after: float,
        kind: PayloadType,
    ) -> Any:
        """Send a call by ``send(call_id)`` and wait for its answer, which is decoded into ``kind``.

        Raises:
            CallTimeout: no answer came within ``timeout`` seconds.
            EventError: the server refused, or its answer does not fit.
            NotConnected: the connection was lost.
        """
        notice: Hook[[]] = Hook("on_pending")
        if on_pending is not None:
            notice(on_pending, once=True)
        loop = asyncio.get_running_loop()
        call_id = self._ids.next()
        answer: asyncio.Future[Any] = loop.create_future()
        send(call_id)
        self._pending.add(call_id, _Waiter(answer, kind))
        timers: list[asyncio.TimerHandle] = []
        if timeout < inf:
            timers.append(loop.call_later(timeout, self._expired, call_id, event, timeout))
        if on_pending is not None:
            timers.append(loop.call_later(pending_after, self._hooks.fire, notice))
        try:
            return await answer
        finally:
            self._pending.take(call_id)
            for timer in timers:
                timer.cancel()

    def answered(self, call_id: str, codec: Codec, raw: RawPayload) -> None:
        """Give an answer to its call, if the call still waits."""
        waiter = self._pending.take(call_id)
        if waiter is None or waiter.answer.done():
            return
        try:
            value = decode_answer(codec.payload, waiter.kind, raw)
        except InvalidPayload as error:
            waiter.answer.set_exception(error)
        else:
            waiter.answer.set_result(value)

    def failed(self, call_id: str, error: Exception) -> None:
        """Fail a call with an error, if it still waits."""
        waiter = self._pending.take(call_id)
        if waiter is not None and not waiter.answer.done():
            waiter.answer.set_exception(error)

    def lost(self, why: str, close: Close) -> None:
        """Fail all calls that wait, as no answer can come any more."""
        for waiter in self._pending.take_all():
            if not waiter.answer.done():
                waiter.answer.set_exception(NotConnected(why, close))

    def _expired(self, call_id: str, event: str, timeout: float) -> None:
        self.failed(
            call_id,
            CallTimeout(f"no answer to the call {event!r} within {timeout} s; it may still have been carried out"),
        )
