"""Handling of events and calls: calls handlers, and answers a call with a handler's value or error.

Servers, nodes and clients use it alike. They differ in how they decode messages and encode answers.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from functools import partial
from types import CoroutineType
from typing import Any, Generic, Protocol, TypeVar

from crosswire.core.codecs import Codec
from crosswire.core.decoded_calls import DecodedCall
from crosswire.core.listeners import EventListeners, Listener
from crosswire.core.payload_types import RawPayload
from crosswire.errors import EventError, InvalidPayload
from crosswire.runtime import environment
from crosswire.runtime.background_tasks import is_being_cancelled
from crosswire.runtime.handler_calls import Continuation, Outcome, call_sync
from crosswire.runtime.handler_counts import HandlerCount
from crosswire.runtime.jobs import Job
from crosswire.runtime.shared_events import AnswerOutcome, SharedEvent, reached_listeners
from crosswire.runtime.workers import Workers

HANDLER_ERROR = EventError("HANDLER_ERROR", "the handler failed")
"""Refusal of a call whose handler failed. The text of the exception is not sent."""


SenderT = TypeVar("SenderT")
SenderT_contra = TypeVar("SenderT_contra", contravariant=True)
CallT = TypeVar("CallT")
CallT_contra = TypeVar("CallT_contra", contravariant=True)


class Callers(Protocol[SenderT_contra, CallT_contra]):
    """Sends answers and refusals to peers of one kind, and reports errors of the handlers of their events.

    A ``sender`` is one of the peers. A ``call`` is what an answer needs to find its call, such as the id. Each
    implementation says which types it uses for both.
    """

    def answer(self, sender: SenderT_contra, call: CallT_contra, value: Any, /) -> None:
        """Send the answer to a call; raises InvalidPayload for a value that can't be sent."""

    def refuse(self, sender: SenderT_contra, call: CallT_contra, error: EventError, /) -> None:
        """Send a refusal of a call; raises InvalidPayload for an error that can't be sent."""

    def busy(self, event: str, /) -> EventError:
        """Return the error for an event that is refused because too many handlers are running."""
        ...

    def report(
        self, sender: SenderT_contra, event: str, error: BaseException, /, *, awaited: bool, is_answer: bool
    ) -> None:
        """Report an exception of a handler.

        Args:
            sender: the sender of the event.
            event: its name.
            error: the exception.
            awaited: whether the sender waits for an answer.
            is_answer: whether the call is refused with this error. False if there is no call, or if another handler has
                answered or failed before.
        """


class EventHandling(Protocol[SenderT_contra, CallT_contra]):
    """Calls the handlers of events: an :class:`Answerer`, or what measures or traces one."""

    def handle(
        self,
        name: str,
        listeners: tuple[Listener, ...],
        subject: object,
        codec: Codec,
        payload: RawPayload,
        sender: SenderT_contra,
        call: CallT_contra | None,
        count: HandlerCount,
        /,
    ) -> bool:
        """Call the handlers of an event; see :meth:`Answerer.handle`."""
        ...

    def handle_sole(
        self,
        name: str,
        listener: Listener,
        call_handler: DecodedCall,
        subject: object,
        payload: RawPayload,
        sender: SenderT_contra,
        call: CallT_contra | None,
        count: HandlerCount,
        /,
    ) -> bool:
        """Call the only handler of an event; see :meth:`Answerer.handle_sole`."""
        ...


class AnsweringObserver(Protocol):
    """Puts what measures or traces the handling of events around it."""

    def callers(self, callers: Callers[Any, Any], /) -> Callers[Any, Any]:
        """Return callers that pass everything on to these."""
        ...

    def answerer(self, answerer: EventHandling[Any, Any], /) -> EventHandling[Any, Any]:
        """Return what calls the handlers through this."""
        ...


class Answerer(Generic[SenderT, CallT]):
    """Calls handlers of events, and answers calls with what they return or raise.

    A call is always answered: with the first value that is not None, with None, or with an error. Handlers begin in
    the order in which their events came. A synchronous handler is called at once, unless an earlier event still waits
    for its handler to begin. An asynchronous handler does not hold up the handlers of later events.

    Args:
        callers: send the events, and get the answers.
        handlers: the handlers by event; handlers added with ``once`` are removed from it.
        workers: run the asynchronous handlers.
        limit: maximum number of asynchronous handlers of one :class:`HandlerCount`.
    """

    __slots__ = ("_answer", "_callers", "_handlers", "_limit", "_waiting", "_watch", "_workers")

    def __init__(
        self, callers: Callers[SenderT, CallT], handlers: EventListeners, workers: Workers, limit: int
    ) -> None:
        self._callers = callers
        self._answer = callers.answer  # bound once
        self._handlers = handlers
        self._workers = workers
        self._waiting = workers.waiting
        self._watch = workers.watch
        self._limit = limit

    def replace_callers(self, callers: Callers[SenderT, CallT]) -> None:
        """Answer through other callers from now on, which pass on to those that there were."""
        self._callers = callers
        self._answer = callers.answer

    def handle(
        self,
        name: str,
        listeners: tuple[Listener, ...],
        subject: object,
        codec: Codec,
        payload: RawPayload,
        sender: SenderT,
        call: CallT | None,
        count: HandlerCount,
    ) -> bool:
        """Call the handlers of an event; return whether a handler may still be running.

        Args:
            name: of the event.
            listeners: its handlers, one at least.
            subject: the first argument of handlers that take more than the data.
            codec: decodes the data.
            payload: the data.
            sender: as ``callers`` knows it.
            call: as ``callers`` knows it; None for an event that needs no answer.
            count: of the asynchronous handlers.
        """
        listener = listeners[0]
        if len(listeners) > 1 or listener.once:
            return self._handle_any(SharedEvent(name, subject, codec, payload, sender, call, count), listeners)
        return self.handle_sole(name, listener, listener.call_as(codec), subject, payload, sender, call, count)

    def handle_sole(
        self,
        name: str,
        listener: Listener,
        call_handler: DecodedCall,
        subject: object,
        payload: RawPayload,
        sender: SenderT,
        call: CallT | None,
        count: HandlerCount,
    ) -> bool:
        """Call the only handler of an event, which stays; otherwise as :meth:`handle`.

        Args:
            listener: the handler.
            call_handler: one of the functions of ``listener`` that call it.
        """
        if listener.is_async or self._waiting:  # behind handlers of earlier events that have not begun
            return self.start_sole(name, listener, call_handler, subject, payload, sender, call, count)
        copy_context = count.copy_context  # functions in slots are read first: else Python looks for a method
        context = copy_context()
        watch = self._watch
        began = 0.0 if watch is None else environment.monotonic()
        try:  # one plain function, the usual case and the fastest
            try:
                value = context.run(call_handler, subject, payload)
            finally:
                if watch is not None and environment.monotonic() - began > watch.limit:
                    watch.report(name, began)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it may raise anything; it is reported
            self.fail(name, sender, call, error)
            return False
        if type(value) is CoroutineType:
            return self.go_on(name, value, sender, call, count, context)
        if call is not None:
            answer = self._answer
            try:
                answer(sender, call, value)
            except InvalidPayload as error:
                self.fail(name, sender, call, unsendable("return value", error))
        return False

    def start_sole(
        self,
        name: str,
        listener: Listener,
        call_handler: DecodedCall,
        subject: object,
        payload: RawPayload,
        sender: SenderT,
        call: CallT | None,
        count: HandlerCount,
    ) -> bool:
        """Call the only handler of an event soon, in the background; otherwise as :meth:`handle_sole`."""
        if count.running >= self._limit:
            self.fail(name, sender, call, self._callers.busy(name))
            return False
        count.running += 1
        copy_context = count.copy_context
        job = self._finish_sole(name, listener, call_handler, subject, payload, sender, call)
        self._workers.start(job, copy_context(), count, name)
        return True

    def go_on(
        self,
        name: str,
        begun: CoroutineType[Any, Any, Any],
        sender: SenderT,
        call: CallT | None,
        count: HandlerCount,
        context: Context,
    ) -> bool:
        """Await the coroutine that the only handler of an event has returned; return whether it was begun."""
        if self._start(self._finish_begun(name, begun, sender, call), name, sender, call, count, context):
            return True
        begun.close()
        return False

    def _handle_any(self, event: SharedEvent[SenderT, CallT], listeners: tuple[Listener, ...]) -> bool:
        """Call several handlers, or one that was added with ``once``; return whether a handler may still be running."""
        name, count = event.name, event.count
        for listener in listeners:
            if listener.once:
                reached = reached_listeners(listeners, event.codec, event.payload, busy=count.running >= self._limit)
                self._handlers.remove_once(name, reached)
                break
        outcome = AnswerOutcome(partial(self._report, name, event.sender, event.call))
        if self._waiting:
            rest: Continuation | None = Continuation(None, listeners, count.copy_context)
        else:
            rest = call_sync(listeners, event.invoke, outcome, count.copy_context, self._watch, name)
        if rest is None:
            self._settle(event, outcome)
            return False
        job = self._finish_several(event, rest, outcome)
        if self._start(job, name, event.sender, event.call, count, count.copy_context()):
            return True
        rest.close()
        return False

    async def _finish_several(self, event: SharedEvent[SenderT, CallT], rest: Continuation, outcome: Outcome) -> None:
        try:
            await rest.run(event.invoke, outcome)
        finally:
            self._settle(event, outcome)

    def _settle(self, event: SharedEvent[SenderT, CallT], outcome: Outcome) -> None:
        if event.call is None:
            return
        if outcome.error is None:
            self._reply(event.name, event.sender, event.call, outcome.value)
        else:
            self._refuse(event.name, event.sender, event.call, outcome.error)

    def _start(
        self, job: Job, name: str, sender: SenderT, call: CallT | None, count: HandlerCount, context: Context
    ) -> bool:
        """Run ``job`` in the background, unless too many handlers are running; return whether it was started."""
        if count.running >= self._limit:
            job.close()
            self.fail(name, sender, call, self._callers.busy(name))
            return False
        count.running += 1
        self._workers.start(job, context, count, name)
        return True

    async def _finish_sole(
        self,
        name: str,
        listener: Listener,
        call_handler: DecodedCall,
        subject: object,
        payload: RawPayload,
        sender: SenderT,
        call: CallT | None,
    ) -> None:
        """Call the only handler of an event, await what it returns if that can be, and answer."""
        try:
            value = call_handler(subject, payload)
            del payload  # the message, which may be large; the handler has its data
            if type(value) is CoroutineType or hasattr(value, "__await__"):  # the usual one is known at once
                value = await value
            if (returns := listener.returns) is not None and not isinstance(value, returns.sure):
                returns.require(value)
        except asyncio.CancelledError as error:
            self.fail(name, sender, call, error)
            if is_being_cancelled():
                raise
        except Exception as error:  # noqa: BLE001 - a handler may raise anything; it is reported
            self.fail(name, sender, call, error)
        else:
            if call is not None:
                answer = self._answer  # read first, as in `handle_sole`
                try:
                    answer(sender, call, value)
                except InvalidPayload as error:
                    self.fail(name, sender, call, unsendable("return value", error))

    async def _finish_begun(
        self, name: str, begun: CoroutineType[Any, Any, Any], sender: SenderT, call: CallT | None
    ) -> None:
        """Await the coroutine that the only handler of an event has returned, and answer."""
        try:
            value = await begun
        except asyncio.CancelledError as error:
            self.fail(name, sender, call, error)
            if is_being_cancelled():
                raise
        except Exception as error:  # noqa: BLE001 - as above
            self.fail(name, sender, call, error)
        else:
            if call is not None:
                self._reply(name, sender, call, value)

    def _reply(self, name: str, sender: SenderT, call: CallT, value: Any) -> None:
        try:
            self._answer(sender, call, value)
        except InvalidPayload as error:
            self.fail(name, sender, call, unsendable("return value", error))

    def fail(self, name: str, sender: SenderT, call: CallT | None, error: BaseException) -> None:
        """Report an exception of a handler, and refuse the call with it."""
        self._report(name, sender, call, error)
        if call is not None:
            self._refuse(name, sender, call, error)

    def _refuse(self, name: str, sender: SenderT, call: CallT, error: BaseException) -> None:
        """Refuse a call with an EventError; any other error stays here, and the sender gets ``HANDLER_ERROR``."""
        try:
            self._callers.refuse(sender, call, error if isinstance(error, EventError) else HANDLER_ERROR)
        except InvalidPayload as reason:
            self._report(name, sender, call, unsendable("refusal", reason))
            self._callers.refuse(sender, call, HANDLER_ERROR)

    def _report(
        self, name: str, sender: SenderT, call: CallT | None, error: BaseException, *, is_answer: bool = True
    ) -> None:
        awaited = call is not None
        self._callers.report(sender, name, error, awaited=awaited, is_answer=is_answer and awaited)


def unsendable(what: str, reason: InvalidPayload) -> TypeError:
    """Return the error for a value of a handler that can't be sent."""
    return TypeError(f"the handler's {what} can't be sent: {reason.message}")
