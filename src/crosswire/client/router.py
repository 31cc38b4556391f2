"""From an event or a call of the server to the handlers, and back to the server with their answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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

    __slots__ = ("_answerer", "_events", "_hooks", "_peers", "_work", "_workers")

    def __init__(self, events: EventListeners, hooks: Hooks, tasks: Tasks) -> None:
        self._events = events
        self._hooks = hooks
        self._peers = _Server(hooks)
        self._workers = Workers(tasks)
        self._answerer = Answerer(self._peers, events, self._workers, MAX_HANDLERS)
        self._work = SharedWork()

    def receive(self, message: Message, codec: Codec, reply: Reply) -> None:
        """Handle an event or a call.

        Args:
            message: has an event.
            codec: of the connection that it came on.
            reply: sends the answer there.
        """
        event = str(message.event)
        if listeners := self._events.of(event):
            self._answerer.handle(event, (message, codec, reply), listeners, self._work)
        elif message.call_id is not None:
            self._peers.refuse((message, codec, reply), EventError("NO_HANDLER", f"no handler for {event!r}"))
        elif event[:1] != RESERVED and not self._hooks.on_message:
            # the protocol's own events need no handler, and an application may handle messages by itself
            text = "there is no handler for the event %r of the server: nothing is done (logged once for each name)"
            self._hooks.notices.warn_once("there is no handler", event, text)

    def drop(self) -> None:
        """Discard the events whose handlers have not begun."""
        self._workers.drop()


_ServerEvent = tuple[Message, Codec, Reply]
"""An event or a call of the server: the message, how its data is to be decoded, and what sends an answer."""


class _Server:
    """Implements :class:`crosswire.runtime.answering.Peers`."""

    __slots__ = ("_hooks",)

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    @staticmethod
    def call(event: _ServerEvent, listener: Listener) -> Any:
        return listener.handler(_Server.decode(event, listener.payload)) if listener.takes_data else listener.handler()

    @staticmethod
    def decode(event: _ServerEvent, kind: PayloadType) -> Any:
        message, codec, _ = event
        return codec.payload(kind, message.payload)

    @staticmethod
    def answer(event: _ServerEvent, value: Any) -> None:
        message, codec, reply = event
        if message.call_id is not None:
            reply(encode(codec, messages.server_call_answer(message.call_id, value)))

    @staticmethod
    def refuse(event: _ServerEvent, error: EventError) -> None:
        message, codec, reply = event
        if message.call_id is not None:
            reply(encode(codec, messages.server_call_refusal(message.call_id, error)))

    @staticmethod
    def busy(event: _ServerEvent) -> EventError:
        message, _, _ = event
        return EventError("BUSY", f"{message.event!r} was not handled: {MAX_HANDLERS} handlers are still running")

    def report(self, event: _ServerEvent, error: BaseException, *, told: bool) -> None:
        message, _, _ = event
        if not (told and message.call_id is not None and isinstance(error, EventError)):
            self._hooks.report(error)
