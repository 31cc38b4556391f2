"""From an event or a call of the server to the handlers, and back to the server with their answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from crosswire.client.encoding import encode
from crosswire.client.hooks import Hooks
from crosswire.core import messages
from crosswire.core.listeners import EventListeners, Listener
from crosswire.core.messages import Codec, Message
from crosswire.core.names import RESERVED
from crosswire.core.payloads import PayloadType
from crosswire.errors import EventError
from crosswire.runtime.answering import Answerer, SharedWork
from crosswire.runtime.tasks import Tasks
from crosswire.runtime.workers import Workers

MAX_HANDLERS = 1000
"""Number of asynchronous handlers of one client that may be at work; beyond it, a call is refused with BUSY, and an
event is dropped and reported."""

Reply = Callable[[bytes], None]
"""Sends an encoded answer on the connection that the call came on."""


class Router:
    """Hands the events and calls of the server to the handlers.

    An event without a handler is ignored; a call is always answered.

    Args:
        events: the handlers, called with ``(data)``.
        hooks: where failures are reported.
        tasks: where asynchronous handlers run.
    """

    __slots__ = ("_answerer", "_events", "_hooks", "_work", "_workers")

    def __init__(self, events: EventListeners, hooks: Hooks, tasks: Tasks) -> None:
        self._events = events
        self._hooks = hooks
        self._workers = Workers(tasks)
        self._answerer = Answerer(events, self._workers, MAX_HANDLERS, _busy)
        self._work = SharedWork()

    def receive(self, message: Message, codec: Codec, reply: Reply) -> None:
        """Handle an event or a call.

        Args:
            message: has an event.
            codec: of the connection that it came on.
            reply: sends the answer there.
        """
        invocation = _ServerEvent(message, codec, reply, self._hooks)
        if listeners := self._events.of(invocation.event):
            self._answerer.handle(invocation, listeners, self._work)
        elif message.call_id is not None:
            invocation.refuse(EventError("NO_HANDLER", f"no handler for {invocation.event!r}"))
        elif invocation.event[:1] != RESERVED and not self._hooks.on_message:
            # the protocol's own events need no handler, and an application may handle messages by itself
            text = "there is no handler for the event %r of the server: nothing is done (logged once for each name)"
            self._hooks.notices.warn_once("there is no handler", invocation.event, text)

    def drop(self) -> None:
        """Discard the events whose handlers have not begun."""
        self._workers.drop()


class _ServerEvent(msgspec.Struct):
    """One event, or one call, of the server."""

    message: Message
    codec: Codec
    reply: Reply
    hooks: Hooks

    @property
    def event(self) -> str:
        return str(self.message.event)

    def call(self, listener: Listener) -> Any:
        if listener.takes_data:
            return listener.handler(self.decode(listener.payload))
        return listener.handler()

    def decode(self, kind: PayloadType) -> Any:
        return self.codec.payload(kind, self.message.payload)

    def answer(self, value: Any) -> None:
        if self.message.call_id is not None:
            self.reply(encode(self.codec, messages.server_call_answer(self.message.call_id, value)))

    def refuse(self, error: EventError) -> None:
        if self.message.call_id is not None:
            self.reply(encode(self.codec, messages.server_call_refusal(self.message.call_id, error)))

    def report(self, error: BaseException, *, told: bool) -> None:
        if not (told and self.message.call_id is not None and isinstance(error, EventError)):
            self.hooks.report(error)


def _busy(event: str) -> EventError:
    return EventError("BUSY", f"{event!r} was not handled: {MAX_HANDLERS} handlers are still running")
