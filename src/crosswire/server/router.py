"""Handling of the messages of clients: events and calls go to handlers, answers to the code that waits for them."""

from __future__ import annotations

import asyncio
from contextvars import Context
from types import CoroutineType
from typing import Any, Protocol

from crosswire.core import messages
from crosswire.core.codecs import JSON, UNDECODABLE, Codec, no_json_message
from crosswire.core.limits import Limits
from crosswire.core.listeners import EventListeners, Listener
from crosswire.core.messages import BACKGROUND, FOREGROUND, MAX_CALL_ID, Message
from crosswire.core.payload_types import decode_answer
from crosswire.core.payload_weights import message_weight
from crosswire.errors import EventError, InvalidMessage, InvalidPayload, NameTooLong, Reject
from crosswire.runtime import environment
from crosswire.runtime.answering import Answerer, AnsweringObserver, Callers, EventHandling, unsendable
from crosswire.runtime.background_tasks import is_being_cancelled
from crosswire.runtime.log_records import about, get_logger
from crosswire.runtime.throttled_warnings import reason
from crosswire.runtime.workers import Workers
from crosswire.server.connected_client import ConnectedClient
from crosswire.server.failures import FailureReporter
from crosswire.server.held_messages import (
    FEW_HANDLERS,
    QUICKLY_DECODED,
    SMALL_MESSAGE,
    HeldLimits,
    HeldMessage,
    too_large,
)
from crosswire.server.hooks import Hooks
from crosswire.server.running_handlers import HANDLER_OVERHEAD, AllHandlers
from crosswire.server.session_view import SessionView

logger = get_logger("crosswire.events")


class MessageRouter(Protocol):
    """Handles the messages of clients: a :class:`Router`, or what measures or traces one."""

    def receive(self, session: SessionView, codec: Codec, data: str | bytes) -> bool:
        """Handle one message of a client, whatever it is; return False if it was postponed instead."""
        ...

    def receive_text(self, session: SessionView, text: str) -> bool:
        """Do the same with a text message, which is JSON."""
        ...

    def refused(self, session: SessionView, codec: Codec, data: str | bytes) -> bool:
        """Refuse a message that has waited for too long if it is a call; return whether it was."""
        ...

    def answered(self, session: SessionView, codec: Codec, data: str | bytes) -> bool:
        """Handle a message if it is the answer to a call of this server; return whether it was."""
        ...


class Router:
    """Hands events and calls of clients to handlers, and answers of clients to the calls that wait for them.

    An event without a handler is ignored; a call is always answered. ``Limits.handlers`` bounds how many asynchronous
    handlers one connection may have at work.

    Args:
        events: the handlers, called with ``(socket, data)``.
        hooks: the application's.
        limits: the server's.
        all_handlers: of all connections.
        workers: run the asynchronous handlers.
        failures: reports exceptions of handlers, and messages that are dropped.
    """

    __slots__ = (
        "_all_handlers",
        "_answerer",
        "_base_answerer",
        "_clients",
        "_events",
        "_failures",
        "_find_sole",
        "_held",
        "_hold_at",
        "_hooks",
        "_max_name",
        "_waiting",
        "_watch",
    )

    def __init__(
        self,
        events: EventListeners,
        hooks: Hooks,
        limits: Limits,
        all_handlers: AllHandlers,
        workers: Workers,
        failures: FailureReporter,
    ) -> None:
        self._events = events
        self._find_sole = events.find_sole
        self._watch = workers.watch
        self._hooks = hooks
        self._failures = failures
        self._clients: Callers[SessionView, str] = _Clients(failures)
        answerer: Answerer[SessionView, str] = Answerer(self._clients, events, workers, limits.handlers)
        self._base_answerer = answerer
        self._answerer: EventHandling[SessionView, str] = answerer
        self._waiting = workers.waiting
        self._all_handlers = all_handlers
        self._held = HeldLimits(limits)
        self._max_name = limits.name
        one_less = limits.handlers - 1  # one message may start a handler and a hook
        self._hold_at = min(one_less, self._held.at_work // HANDLER_OVERHEAD)

    def observe(self, observer: AnsweringObserver) -> None:
        """Let metrics or tracing see every event from now on."""
        self._clients = observer.callers(self._clients)
        self._base_answerer.replace_callers(self._clients)
        self._answerer = observer.answerer(self._answerer)
        self._find_sole = _find_none  # the observer sees only what is handed to the answerer

    def receive(self, session: SessionView, codec: Codec, data: str | bytes) -> bool:
        """Handle one message of a client, whatever it is; return False if it was postponed instead."""
        if isinstance(data, str):
            return self.receive_text(session, data)
        try:
            message = codec.decode(data)
        except InvalidMessage as error:
            self._undecodable(session, error)
            return True
        return self._handle(session, codec, data, message)

    def receive_text(self, session: SessionView, text: str) -> bool:
        """Do the same with a text message, which is always JSON.

        The usual message is for a plain function, the only handler of its event. What the answerer would do with it
        stands here, so that there are few calls for it.
        """
        try:
            message = _decode_text(text)
        except UNDECODABLE as error:
            self._undecodable(session, no_json_message(text, error))
            return True
        event, callback_id, handlers = message.event, message.callback_id, session.handlers
        find_sole = self._find_sole  # functions in slots are read first: else Python looks for a method
        listener = find_sole(event)
        if (
            listener is None
            or event is None
            or len(text) > SMALL_MESSAGE
            or handlers.running >= FEW_HANDLERS
            or (callback_id is not None and not 0 < len(callback_id) <= MAX_CALL_ID)
        ):
            return self._handle(session, JSON, text, message)
        if listener.is_async or self._waiting:  # behind handlers of earlier events that have not begun
            return self._start_sole(session, event, listener, message)
        copy_context = handlers.copy_context
        context = copy_context()
        watch = self._watch
        began = 0.0 if watch is None else environment.monotonic()
        try:
            try:
                value = context.run(listener.call_json, session.socket, message.payload)
            finally:
                if watch is not None and environment.monotonic() - began > watch.limit:
                    watch.report(event, began)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it may raise anything; it is reported
            self._base_answerer.fail(event, session, callback_id, error)
            return True
        if type(value) is CoroutineType:
            self._go_on(session, event, message, value, context)
        elif callback_id is not None:
            try:
                ConnectedClient.answer(session, callback_id, value)
            except InvalidPayload as error:
                self._base_answerer.fail(event, session, callback_id, unsendable("return value", error))
        return True

    def _start_sole(self, session: SessionView, event: str, listener: Listener, message: Message) -> bool:
        """Start the only handler of an event in the background."""
        handlers = session.handlers
        if self._base_answerer.start_sole(
            event, listener, listener.call_json, session.socket, message.payload, session, message.callback_id, handlers
        ) and (handlers.running >= self._hold_at or self._all_handlers.full):
            session.hold_messages_if_busy()
        return True

    def _go_on(
        self,
        session: SessionView,
        event: str,
        message: Message,
        begun: CoroutineType[Any, Any, Any],
        context: Context,
    ) -> None:
        """Await a coroutine that a plain handler has returned, in the background."""
        handlers = session.handlers
        if self._base_answerer.go_on(event, begun, session, message.callback_id, handlers, context) and (
            handlers.running >= self._hold_at or self._all_handlers.full
        ):
            session.hold_messages_if_busy()

    def _handle(self, session: SessionView, codec: Codec, data: str | bytes, message: Message) -> bool:
        """Handle a message that is decoded; return False if it was postponed instead."""
        callback_id = message.callback_id
        if callback_id is not None and not 0 < len(callback_id) <= MAX_CALL_ID:
            text = "%r sent a call whose id is not 1-%d characters long, and it was dropped"
            self._dropped(session, "call id", text, MAX_CALL_ID)
        elif message.event is None:
            self._answered(session, codec, data, message)
        elif listeners := self._events.find(message.event):
            handlers = session.handlers
            if len(data) > SMALL_MESSAGE or handlers.running >= FEW_HANDLERS:
                return self._handle_weighed(session, codec, data, message, listeners)
            started = self._answerer.handle(
                message.event, listeners, session.socket, codec, message.payload, session, callback_id, handlers
            )
            if started and (handlers.running >= self._hold_at or self._all_handlers.full):
                session.hold_messages_if_busy()
        else:
            self._unhandled(session, message)
        return True

    def _handle_weighed(
        self,
        session: SessionView,
        codec: Codec,
        data: str | bytes,
        message: Message,
        listeners: tuple[Listener, ...],
    ) -> bool:
        """Handle an event whose data may take much memory; return False if it was postponed, to when there is room."""
        handlers, limits = session.handlers, self._held
        held = HeldMessage(handlers, codec, data, limits.all, kept=len(listeners) > 1)
        if any(listener.is_async for listener in listeners):
            if held.weight > limits.all:
                self._too_large(session, message)
                return True
            if handlers.running and handlers.memory + held.weight > limits.at_work:
                session.postpone(codec, data, held.weight)
                return False
        elif len(data) > QUICKLY_DECODED:
            limit = limits.quickly_decoded(codec)
            if message_weight(data, limit, msgpack=codec.binary) > limit:
                self._too_large(session, message)
                return True
        event, callback_id = str(message.event), message.callback_id
        started = self._answerer.handle(
            event, listeners, session.socket, codec, message.payload, session, callback_id, held
        )
        if started:
            session.hold_messages_if_busy()
        return True

    def refused(self, session: SessionView, codec: Codec, data: str | bytes) -> bool:
        """Refuse a message that has waited for too long if it is a call; return whether it was."""
        try:
            message = codec.decode(data)
        except InvalidMessage:
            return False
        callback_id = message.callback_id
        if message.event is None or callback_id is None or not 0 < len(callback_id) <= MAX_CALL_ID:
            return False
        self._clients.refuse(session, callback_id, self._clients.busy(message.event))
        return True

    def answered(self, session: SessionView, codec: Codec, data: str | bytes) -> bool:
        """Handle a message if it is the answer to a call of this server; return whether it was."""
        try:
            message = codec.decode(data)
        except InvalidMessage:
            return False
        if message.event is not None or message.call_id is None:
            return False
        self._answered(session, codec, data, message)
        return True

    def _undecodable(self, session: SessionView, error: InvalidMessage) -> None:
        if error.callback_id is not None:
            self._clients.refuse(session, error.callback_id, error)
        else:
            text = "%r sent what is no message, and it was dropped: %s"
            self._dropped(session, "no message", text, reason(error))

    def _is_too_heavy(self, codec: Codec, data: str | bytes) -> bool:
        return message_weight(data, self._held.all, msgpack=codec.binary) > self._held.all

    def _too_large(self, session: SessionView, message: Message) -> None:
        error = too_large()
        if message.callback_id is not None:
            self._clients.refuse(session, message.callback_id, error)
        self._failures.over_limit(session, "too large", error)

    def _unhandled(self, session: SessionView, message: Message) -> None:
        """Act on an event of the protocol itself, or warn that there is no handler."""
        event, callback_id = str(message.event), message.callback_id
        if len(event) > self._max_name and not self._hooks.on_message:
            error = NameTooLong("an event's name", self._max_name)
            if callback_id is not None:
                self._clients.refuse(session, callback_id, error)
            self._failures.over_limit(session, "name", error)
            return
        if callback_id is None and event == BACKGROUND:
            session.client.enter_background()
            return
        if callback_id is None and event == FOREGROUND:
            session.client.enter_foreground()
            return
        if not self._hooks.on_message:
            text = "there is no handler for the event %r, which %r sent: nothing is done (logged once for each name)"
            extra = about(session.socket, event=event)
            self._failures.warnings.warn_once("there is no handler", event, text, session.socket, extra=extra)
        if callback_id is not None:
            self._clients.refuse(session, callback_id, _NO_HANDLER)

    def _dropped(self, session: SessionView, kind: str, text: str, *args: object) -> None:
        """Warn of a message that is lost, but not if ``on_message`` got it: it may be of the application's protocol."""
        if not self._hooks.on_message:
            socket = session.socket
            self._failures.losses.messages[kind] += 1
            self._failures.warnings.warn(kind, text, socket, *args, extra=about(socket))

    def _answered(self, session: SessionView, codec: Codec, data: str | bytes, message: Message) -> None:
        """Handle a client's answer to a call of this server; an answer that nobody waits for is ignored."""
        if message.call_id is None and message.callback_id is not None:
            self._clients.refuse(session, message.callback_id, _NO_EVENT)
            return
        if message.call_id is None:
            self._dropped(session, "no event", "%r sent a message without an event, and it was dropped")
            return
        client = session.client
        waiter = client.forget(message.call_id)
        if waiter is None:
            text = "%r sent an answer that nobody waits for any more"
            logger.debug(text, session.socket, extra=about(session.socket))
        elif message.error is not None:
            waiter.refused(client, EventError(message.error.code, message.error.message))
        elif len(data) > SMALL_MESSAGE and self._is_too_heavy(codec, data):
            waiter.refused(client, too_large())
        else:
            try:
                answer = decode_answer(codec.payload, waiter.kind, message.payload)
            except InvalidPayload as error:
                waiter.refused(client, error)
            else:
                waiter.answered(client, answer)


class _Clients:
    """Implements :class:`crosswire.runtime.answering.Callers`: a call is the id that its answer carries."""

    __slots__ = ("_failures",)

    def __init__(self, failures: FailureReporter) -> None:
        self._failures = failures

    answer = staticmethod(ConnectedClient.answer)

    @staticmethod
    def refuse(session: SessionView, callback_id: str, error: EventError) -> None:
        client = session.client
        client.send_encoded(client.encode(messages.refusal(callback_id, error)))

    @staticmethod
    def busy(event: str) -> EventError:
        return EventError(_BUSY_CODE, "too many of your events are still being handled")

    def report(self, session: SessionView, event: str, error: BaseException, *, awaited: bool, is_answer: bool) -> None:
        if isinstance(error, EventError) and error.code == _BUSY_CODE and not awaited:
            self._failures.losses.messages["busy"] += 1
        if isinstance(error, Reject):
            session.client.close(error.close_code, error.reason)
        elif session.client.is_open or not (isinstance(error, asyncio.CancelledError) and is_being_cancelled()):
            # A handler that is cancelled because its connection is gone, or the server stops, has not failed.
            self._failures.report(session, error, f"a handler of {event!r}", event=event, answers=awaited)


def _find_none(_event: str | None) -> Listener | None:
    return None


_decode_text = JSON.decode_text  # text is always JSON
_BUSY_CODE = "BUSY"
_NO_EVENT = InvalidMessage("a call needs an event")
_NO_HANDLER = EventError("NO_HANDLER", "the server has no handler for this event")
