"""From a client's message to the handlers, and back to the client with their answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context as Variables
from functools import partial
from time import monotonic
from types import CoroutineType
from typing import Any

from crosswire.core import messages
from crosswire.core.limits import Limits
from crosswire.core.listeners import EventListeners, Listener
from crosswire.core.messages import BACKGROUND, FOREGROUND, MAX_CALL_ID, Codec, Message
from crosswire.core.payloads import PayloadType
from crosswire.errors import EventError, InvalidMessage, InvalidPayload, Reject
from crosswire.runtime.background_tasks import is_being_cancelled
from crosswire.runtime.dispatch import Outcome, Unfinished, call_sync, checked, will_be_called
from crosswire.runtime.slow_handlers import SlowHandlerWatch
from crosswire.runtime.throttled_warnings import reason
from crosswire.runtime.workers import Workers
from crosswire.server.failures import FailureReporter
from crosswire.server.hooks import Hooks
from crosswire.server.session_view import SessionView
from crosswire.server.socket import Socket

logger = logging.getLogger("crosswire.events")


class Router:
    """Delivers the events of clients to the handlers.

    A call is always answered: with the first value that is not None, with null, or with an error. An event without a
    handler is ignored. Handlers begin in the order in which their events came. A synchronous one is called at once, if
    none is in front of it; an asynchronous one waits without holding up others, and ``Limits.handlers`` bounds how
    many do.

    Args:
        events: the handlers, called with ``(socket, data)``.
        hooks: the application's.
        limits: the server's.
        workers: run the asynchronous handlers.
        failures: told of what handlers raised, and of messages that are dropped.
        watch: warns of synchronous handlers that take too long.
    """

    __slots__ = ("_events", "_failures", "_hooks", "_limits", "_watch", "_workers")

    def __init__(
        self,
        events: EventListeners,
        hooks: Hooks,
        limits: Limits,
        workers: Workers,
        failures: FailureReporter,
        watch: SlowHandlerWatch | None,
    ) -> None:
        self._events = events
        self._hooks = hooks
        self._limits = limits
        self._workers = workers
        self._failures = failures
        self._watch = watch

    def receive(self, session: SessionView, codec: Codec, data: str | bytes) -> None:
        """Take one message of a client, whatever it is."""
        socket = session.socket
        try:
            message = codec.decode(data)
        except InvalidMessage as error:
            if error.callback_id is not None:
                self._refuse(session, error.callback_id, error)
            else:
                self._dropped("message", "%r sent what is no message, and it was dropped: %s", socket, reason(error))
            return
        callback_id = message.callback_id
        if callback_id is not None and not 0 < len(callback_id) <= MAX_CALL_ID:
            text = "%r sent a call whose id is not 1-%d characters long, and it was dropped"
            self._dropped("call id", text, socket, MAX_CALL_ID)
        elif message.event is None:
            self._answered(session, codec, message)
        elif listeners := self._events.of(message.event):
            self._dispatch(session, codec, message, listeners)
        elif callback_id is None and message.event == BACKGROUND:
            session.peer.enter_background()
        elif callback_id is None and message.event == FOREGROUND:
            session.peer.enter_foreground()
        else:
            if not self._hooks.on_message:
                text = (
                    "there is no handler for the event %r, which %r sent: nothing is done (logged once for each name)"
                )
                self._failures.warnings.warn_once("there is no handler", message.event, text, socket)
            if callback_id is not None:
                self._refuse(session, callback_id, _NO_HANDLER)

    def answered(self, session: SessionView, codec: Codec, data: str | bytes) -> bool:
        """Take a message if it is the answer to a call of ours; tell whether it was."""
        try:
            message = codec.decode(data)
        except InvalidMessage:
            return False
        if message.event is not None or message.call_id is None:
            return False
        self._answered(session, codec, message)
        return True

    def _use_up(self, session: SessionView, codec: Codec, message: Message, listeners: tuple[Listener, ...]) -> None:
        """Remove the handlers that are called once, and now."""
        busy = session.work.running >= self._limits.handlers
        reached = will_be_called(listeners, 1, partial(_decode, codec, message), busy=busy)
        self._events.remove_once(str(message.event), reached)

    def _dispatch(self, session: SessionView, codec: Codec, message: Message, listeners: tuple[Listener, ...]) -> None:
        listener = listeners[0]
        if len(listeners) > 1:
            self._call_all(session, codec, message, listeners)
            return
        if listener.once:
            self._use_up(session, codec, message, listeners)
        context = session.work.copy_context()
        if listener.is_async or self._workers.waiting:  # behind those that came before and have not begun
            self._start(session, message, self._call_one(session, codec, message, listener), context)
            return
        watch = self._watch
        began = 0.0 if watch is None else monotonic()
        try:
            try:
                value = context.run(_call, listener, session.socket, codec, message)
            finally:
                if watch is not None and monotonic() - began > watch.limit:
                    watch.report(str(message.event), began)
            if (returns := listener.returns) is not None and not isinstance(value, returns.sure):
                value = checked(returns, value)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it may raise anything; it is reported
            self._fail(session, message, error)
            return
        if type(value) is not CoroutineType:
            self._answer(session, message, value)
        elif not self._start(session, message, self._call_one(session, codec, message, value), context):
            value.close()

    async def _call_one(
        self, session: SessionView, codec: Codec, message: Message, handler: Listener | CoroutineType[Any, Any, Any]
    ) -> None:
        """Call the one handler of an event, unless it gave a coroutine already, and await what it gives if need be."""
        try:
            if isinstance(handler, Listener):
                value = _call(handler, session.socket, codec, message)
                if hasattr(value, "__await__"):
                    value = await value
                if (returns := handler.returns) is not None and not isinstance(value, returns.sure):
                    returns.require(value)
            else:
                value = await handler
            self._answer(session, message, value)
        except asyncio.CancelledError as error:
            self._fail(session, message, error)
            if is_being_cancelled():
                raise
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(session, message, error)
        finally:
            session.work.ended()

    def _call_all(self, session: SessionView, codec: Codec, message: Message, listeners: tuple[Listener, ...]) -> None:
        """Call several handlers, one after the other."""
        if any(listener.once for listener in listeners):
            self._use_up(session, codec, message, listeners)
        socket = session.socket
        outcome = Outcome(partial(self._report, session, message))

        decode = partial(_decode, codec, message)

        async def finish(unfinished: Unfinished) -> None:
            try:
                await unfinished.finish((socket,), decode, outcome)
            finally:
                self._settle(session, message, outcome)
                session.work.ended()

        if self._workers.waiting:
            unfinished: Unfinished | None = Unfinished(None, listeners, session.work.copy_context)
        else:
            enter, event = session.work.copy_context, str(message.event)
            unfinished = call_sync(listeners, (socket,), decode, outcome, enter, self._watch, event)
        if unfinished is None:
            self._settle(session, message, outcome)
        elif not self._start(session, message, finish(unfinished), session.work.copy_context()):
            unfinished.drop()

    def _start(
        self, session: SessionView, message: Message, job: Coroutine[Any, Any, None], context: Variables
    ) -> bool:
        """Run a job for a connection, if it may have one more; tell whether it may."""
        work, most = session.work, self._limits.handlers
        if work.running >= most:
            job.close()
            busy = EventError("BUSY", "too many of your events are still being handled")
            if message.callback_id is None:
                self._failures.report_refused(session, busy, f"the handler of {message.event!r}")
            else:
                self._refuse(session, message.callback_id, busy)
            return False
        work.running += 1
        self._workers.start(job, context, work, message.event or "")
        if work.running >= most - 1:
            session.hold_if_full()
        return True

    def _settle(self, session: SessionView, message: Message, outcome: Outcome) -> None:
        if outcome.error is None:
            self._answer(session, message, outcome.value)
        elif message.callback_id is not None:
            self._refuse(session, message.callback_id, _told(outcome.error))

    def _answer(self, session: SessionView, message: Message, value: Any) -> None:
        if message.callback_id is None:
            return
        peer = session.peer
        try:
            frame = peer.format.encode(messages.answer(message.callback_id, value))
        except InvalidPayload as error:
            self._fail(session, message, TypeError(f"the handler's return value can't be sent: {error.message}"))
        else:
            peer.send_encoded(frame)

    def _fail(self, session: SessionView, message: Message, error: BaseException) -> None:
        self._report(session, message, error)
        if message.callback_id is not None:
            self._refuse(session, message.callback_id, _told(error))

    def _refuse(self, session: SessionView, callback_id: str, error: EventError) -> None:
        try:
            frame = session.peer.format.encode(messages.refusal(callback_id, error))
        except InvalidPayload as reason:
            failure = TypeError(f"the refusal can't be sent: {reason.message}")
            self._failures.report(session, failure, "a handler's refusal")
            frame = session.peer.format.encode(messages.refusal(callback_id, _HANDLER_ERROR))
        session.peer.send_encoded(frame)

    def _report(self, session: SessionView, message: Message, error: BaseException) -> None:
        if isinstance(error, Reject):
            session.peer.close(error.close_code, error.reason)
        elif session.peer.is_open or not (isinstance(error, asyncio.CancelledError) and is_being_cancelled()):
            # one that is cancelled because its connection is gone, or the server stops, has not failed
            answers = message.callback_id is not None
            self._failures.report(session, error, f"a handler of {message.event!r}", answers=answers)

    def _dropped(self, kind: str, text: str, *args: object) -> None:
        """Warn of a message that is lost, unless ``on_message`` has got it: it may be of the application's protocol."""
        if not self._hooks.on_message:
            self._failures.warnings.warn(kind, text, *args)

    def _answered(self, session: SessionView, codec: Codec, message: Message) -> None:
        """Take a client's answer to a call of ours; one that nobody waits for is ignored."""
        if message.call_id is None and message.callback_id is not None:
            self._refuse(session, message.callback_id, _NO_EVENT)
            return
        if message.call_id is None:
            self._dropped("no event", "%r sent a message without an event, and it was dropped", session.socket)
            return
        peer = session.peer
        waiter = peer.forget(message.call_id)
        if waiter is None:
            logger.debug("%r sent an answer that nobody waits for any more", session.socket)
        elif message.error is not None:
            waiter.refused(peer, EventError(message.error.code, message.error.message))
        else:
            try:
                answer = codec.payload(waiter.kind, message.payload)
            except InvalidPayload as error:
                waiter.refused(peer, error)
            else:
                waiter.answered(peer, answer)


_HANDLER_ERROR = EventError("HANDLER_ERROR", "the handler failed")
_NO_EVENT = InvalidMessage("a call needs an event")
_NO_HANDLER = EventError("NO_HANDLER", "the server has no handler for this event")


def _call(listener: Listener, socket: Socket, codec: Codec, message: Message) -> Any:
    """Call a handler with as much as it takes; the payload is validated first."""
    if listener.arity == 2:
        return listener.handler(socket, codec.payload(listener.payload, message.payload))
    return listener.handler(*(socket,)[: listener.arity])


def _decode(codec: Codec, message: Message, kind: PayloadType) -> Any:
    return codec.payload(kind, message.payload)


def _told(error: BaseException) -> EventError:
    """What the caller is told: a deliberate refusal as it is; of a failure, only that there was one."""
    return error if isinstance(error, EventError) else _HANDLER_ERROR
