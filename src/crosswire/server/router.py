"""From a client's message to the handlers, and back to the client with their answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from crosswire.core import messages
from crosswire.core.listeners import NONE, EventListeners, Listener
from crosswire.core.messages import MAX_ID, Codec, Message
from crosswire.core.payloads import ANY, PayloadType
from crosswire.errors import EventError, InvalidMessage, InvalidPayload, Reject
from crosswire.runtime.dispatch import Outcome, Unfinished, call_sync

if TYPE_CHECKING:
    from crosswire.server.context import Context
    from crosswire.server.session import Session
    from crosswire.server.socket import Socket

logger = logging.getLogger("crosswire.events")


class Router:
    """Delivers the events of clients to the handlers.

    A call is always answered: with the first value that is not None, with null, or with an error. An event without a
    handler is ignored. A synchronous handler is called at once; an asynchronous one runs in a task, which is bounded
    in number by ``Limits.handlers``.
    """

    __slots__ = ("_context", "_events")

    def __init__(self, events: EventListeners, context: Context) -> None:
        self._events = events
        self._context = context

    def receive(self, session: Session, codec: Codec, data: str | bytes) -> None:
        """Take one message of a client, whatever it is."""
        socket = session.socket
        try:
            message = codec.decode(data)
        except InvalidMessage as error:
            logger.debug("%r sent no message: %s", socket, error)
            if error.callback_id is not None:
                _refuse(socket, error.callback_id, error)
            return
        callback_id = message.callback_id
        if callback_id is not None and not 0 < len(callback_id) <= MAX_ID:
            logger.debug("%r sent a call whose id is not 1-%d characters long", socket, MAX_ID)
            return
        if message.event is None:
            self._answered(socket, codec, message)
            return
        listeners = self._events.take(message.event)
        if not listeners:
            if callback_id is not None:
                _refuse(socket, callback_id, EventError("NO_HANDLER", "the server has no handler for this event"))
            return
        if len(listeners) == 1 and not listeners[0].is_async:
            self._call_one(session, codec, message, listeners[0])
        else:
            self._call_all(session, codec, message, listeners)

    def _call_one(self, session: Session, codec: Codec, message: Message, listener: Listener) -> None:
        """Call the one synchronous handler of an event: the most travelled path."""
        socket = session.socket
        try:
            if listener.arity == 2:
                value = listener.handler(socket, codec.payload(listener.payload, message.payload))
            else:
                value = listener.handler(*(socket,)[: listener.arity])
        except Exception as error:  # noqa: BLE001 - a handler may raise anything; it is reported
            self._failed(socket, message, error)
            if message.callback_id is not None:
                _refuse(socket, message.callback_id, _refusal(error))
            return
        if type(value) is CoroutineType:
            self._finish(session, codec, message, Unfinished(value, NONE), self._outcome(socket, message))
        elif message.callback_id is not None:
            self._answer(socket, message.event, message.callback_id, value)

    def _call_all(self, session: Session, codec: Codec, message: Message, listeners: tuple[Listener, ...]) -> None:
        outcome = self._outcome(session.socket, message)
        unfinished = call_sync(listeners, (session.socket,), _decoder(codec, message), outcome)
        if unfinished is None:
            self._settle(session.socket, message, outcome)
        else:
            self._finish(session, codec, message, unfinished, outcome)

    def _finish(
        self, session: Session, codec: Codec, message: Message, unfinished: Unfinished, outcome: Outcome
    ) -> None:
        """Go on in a task, if the connection may have one more."""
        if session.running >= self._context.limits.handlers:
            unfinished.drop()
            busy = EventError("BUSY", "too many events of this connection are still being worked on")
            outcome.raised(busy)
            self._settle(session.socket, message, outcome)
            return

        async def run() -> None:
            try:
                await unfinished.finish((session.socket,), _decoder(codec, message), outcome)
            finally:
                session.running -= 1
                self._settle(session.socket, message, outcome)

        session.running += 1
        self._context.tasks.start(run(), f"crosswire event {message.event}")

    def _outcome(self, socket: Socket, message: Message) -> Outcome:
        return Outcome(lambda error: self._failed(socket, message, error))

    def _settle(self, socket: Socket, message: Message, outcome: Outcome) -> None:
        if message.callback_id is None:
            return
        if outcome.error is not None:
            _refuse(socket, message.callback_id, _refusal(outcome.error))
        else:
            self._answer(socket, message.event, message.callback_id, outcome.value)

    def _answer(self, socket: Socket, event: str | None, callback_id: str, value: Any) -> None:
        try:
            frame = socket.format.frame(messages.answer(callback_id, value))
        except InvalidPayload as error:
            self._context.report(socket, TypeError(error.message), f"the answer to {event!r}")
            _refuse(socket, callback_id, _HANDLER_ERROR)
        else:
            socket.push(frame)

    def _failed(self, socket: Socket, message: Message, error: BaseException) -> None:
        if isinstance(error, Reject):
            socket.close(error.close_code, error.reason)
        else:
            self._context.report(socket, error, f"a handler of {message.event!r}")

    def _answered(self, socket: Socket, codec: Codec, message: Message) -> None:
        """Take a client's answer to a call of ours; one that nobody waits for is ignored."""
        waiter = socket.forget(message.call_id) if message.call_id is not None else None
        if waiter is None:
            logger.debug("%r sent a message without an event, or an answer that nobody waits for", socket)
        elif message.error is not None:
            waiter.refused(socket, EventError(message.error.code, message.error.message))
        else:
            try:
                waiter.answered(socket, codec.payload(ANY, message.payload))
            except InvalidPayload as error:
                waiter.refused(socket, error)


_HANDLER_ERROR = EventError("HANDLER_ERROR", "the handler failed")


def _refusal(error: BaseException) -> EventError:
    """What the caller is told: a deliberate refusal as it is; of a failure, only that there was one."""
    return error if isinstance(error, EventError) else _HANDLER_ERROR


def _refuse(socket: Socket, callback_id: str, error: EventError) -> None:
    socket.push(socket.format.frame(messages.refusal(callback_id, error)))


def _decoder(codec: Codec, message: Message) -> Callable[[PayloadType], Any]:
    return lambda kind: codec.payload(kind, message.payload)
