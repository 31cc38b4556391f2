"""Answers the calls of peers with what their handlers give: a value, or an error.

Servers, nodes and clients differ in how a message is decoded and an answer encoded. What lies between is the same.
"""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context
from time import monotonic
from types import CoroutineType
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from crosswire.core.listeners import EventListeners, Listener
from crosswire.core.messages import Codec
from crosswire.core.payloads import RawPayload
from crosswire.errors import EventError, InvalidPayload
from crosswire.runtime.background_tasks import is_being_cancelled
from crosswire.runtime.contexts import ContextFactory
from crosswire.runtime.dispatch import Continuation, Outcome, call_sync, checked
from crosswire.runtime.workers import Job, JobEvents, Workers

HANDLER_ERROR = EventError("HANDLER_ERROR", "the handler failed")
"""Refusal of a call whose handler failed: its text stays where the handler is."""


SenderT = TypeVar("SenderT")
SenderT_contra = TypeVar("SenderT_contra", contravariant=True)
CallT = TypeVar("CallT")
CallT_contra = TypeVar("CallT_contra", contravariant=True)


class Askers(Protocol[SenderT_contra, CallT_contra]):
    """Senders of events and calls of one kind: how calls are answered, and failures reported.

    A call is what ties an answer to it, such as its id.
    """

    def answer(self, sender: SenderT_contra, call: CallT_contra, value: Any, /) -> None:
        """Send the answer to a call; raises InvalidPayload for a value that can't be sent."""

    def refuse(self, sender: SenderT_contra, call: CallT_contra, error: EventError, /) -> None:
        """Send a refusal of a call; raises InvalidPayload for an error that can't be sent."""

    def busy(self, event: str, /) -> EventError:
        """Return the error for an event for which no handler can be started, as too many are at work."""
        ...

    def report(self, sender: SenderT_contra, event: str, error: BaseException, /, *, awaited: bool, told: bool) -> None:
        """Report what a handler raised.

        Args:
            sender: of the event.
            event: its name.
            error: the exception.
            awaited: whether the sender waits for an answer.
            told: whether the error is that answer, as far as it is an EventError: not if there was another one before.
        """


class Work(JobEvents, Protocol):
    """Count of the asynchronous handlers that are bounded together, such as those of one connection.

    Attributes:
        running: number of handlers that were started and have not ended.
        copy_context: returns a fresh context for the handlers of one event.
    """

    running: int
    copy_context: ContextFactory

    def ended(self) -> None:
        """Count a handler as ended."""


class SharedWork:
    """Count of the asynchronous handlers of all senders; each runs in a copy of the current context."""

    __slots__ = ("running",)

    copy_context = staticmethod(copy_context)

    def __init__(self) -> None:
        self.running = 0

    def ended(self) -> None:
        """Count a handler as ended."""
        self.running -= 1

    dropped = ended

    def waits(self, task: asyncio.Task[None]) -> None:
        """Do nothing: its tasks are cancelled with all others."""

    def released(self, task: asyncio.Task[None]) -> None:
        """Do nothing."""


class _Event(msgspec.Struct, Generic[SenderT, CallT]):
    """Arguments of :meth:`Answerer.handle`, for what is not finished at once."""

    name: str
    subject: object
    codec: Codec
    payload: RawPayload
    sender: SenderT
    call: CallT | None
    work: Work

    def invoke(self, listener: Listener) -> Any:
        """Call a handler; raises InvalidPayload if it takes data that does not fit."""
        return _invoke(listener, self.subject, self.codec, self.payload)


class Answerer(Generic[SenderT, CallT]):
    """Calls the handlers of events, and answers calls with the outcome.

    A call is always answered: with the first value that is not None, with None, or with an error. Handlers begin in
    the order in which their events came. A synchronous one is called at once, if none is in front of it; an
    asynchronous one waits without holding up others.

    Args:
        askers: get the answers.
        handlers: by event; those added with ``once`` are removed here.
        workers: run the asynchronous handlers.
        limit: maximum number of asynchronous handlers of one :class:`Work`.
    """

    __slots__ = ("_answer", "_askers", "_handlers", "_limit", "_waiting", "_watch", "_workers")

    def __init__(self, askers: Askers[SenderT, CallT], handlers: EventListeners, workers: Workers, limit: int) -> None:
        self._askers = askers
        self._answer = askers.answer  # bound once
        self._handlers = handlers
        self._workers = workers
        self._waiting = workers.waiting
        self._watch = workers.watch
        self._limit = limit

    def handle(
        self,
        name: str,
        listeners: tuple[Listener, ...],
        subject: object,
        codec: Codec,
        payload: RawPayload,
        sender: SenderT,
        call: CallT | None,
        work: Work,
    ) -> bool:
        """Call the handlers of an event; return whether one was started that may go on.

        Args:
            name: of the event.
            listeners: its handlers, one at least.
            subject: their first argument, if they take any but the data.
            codec: decodes the data.
            payload: the data.
            sender: who gets the answer, as the askers know it.
            call: what ties the answer to the call; None if no answer is wanted.
            work: counts the asynchronous handlers.
        """
        listener = listeners[0]
        if len(listeners) > 1 or listener.once:
            return self._handle_any(_Event(name, subject, codec, payload, sender, call, work), listeners)
        context = work.copy_context()
        if listener.is_async or self._waiting:  # behind those that came before and have not begun
            event = _Event(name, subject, codec, payload, sender, call, work)
            return self._start(event, self._finish_one(event, listener), context)
        watch = self._watch
        began = 0.0 if watch is None else monotonic()
        try:  # one plain function, which is the rule and the fastest
            try:
                value = context.run(_invoke, listener, subject, codec, payload)
            finally:
                if watch is not None and monotonic() - began > watch.limit:
                    watch.report(name, began)
            if (returns := listener.returns) is not None and not isinstance(value, returns.sure):
                value = checked(returns, value)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it may raise anything; it is reported
            self._fail(_Event(name, subject, codec, payload, sender, call, work), error)
            return False
        if type(value) is CoroutineType:
            return self._await(_Event(name, subject, codec, payload, sender, call, work), value, context)
        if call is not None:
            try:
                self._answer(sender, call, value)
            except InvalidPayload as error:
                self._fail(
                    _Event(name, subject, codec, payload, sender, call, work), _unsendable("return value", error)
                )
        return False

    def _handle_any(self, event: _Event[SenderT, CallT], listeners: tuple[Listener, ...]) -> bool:
        """Call several handlers, or one that is called once; return whether one was started that may go on."""
        for listener in listeners:
            if listener.once:
                self._use_up(event, listeners)
                break
        outcome = Outcome(lambda error: self._report(event, error, told=error is outcome.error))
        new_context = event.work.copy_context
        if self._waiting:
            rest: Continuation | None = Continuation(None, listeners, new_context)
        else:
            rest = call_sync(listeners, event.invoke, outcome, new_context, self._watch, event.name)
        if rest is None:
            self._settle(event, outcome)
            return False
        started = self._start(event, self._finish_several(event, rest, outcome), new_context())
        if not started:
            rest.close()
        return started

    def _await(self, event: _Event[SenderT, CallT], begun: CoroutineType[Any, Any, Any], context: Context) -> bool:
        """Await the coroutine that a synchronous handler returned; return whether that was started."""
        started = self._start(event, self._finish_one(event, begun), context)
        if not started:
            begun.close()
        return started

    def _start(self, event: _Event[SenderT, CallT], job: Job, context: Context) -> bool:
        """Run the rest of an event in the background, unless too many handlers are at work; return whether it runs."""
        work = event.work
        if work.running >= self._limit:
            job.close()
            self._fail(event, self._askers.busy(event.name))
            return False
        work.running += 1
        self._workers.start(job, context, work, event.name)
        return True

    async def _finish_one(
        self, event: _Event[SenderT, CallT], handler: Listener | CoroutineType[Any, Any, Any]
    ) -> None:
        """Call the one handler of an event, or await the coroutine that it returned already, and answer."""
        try:
            if isinstance(handler, Listener):
                value = _invoke(handler, event.subject, event.codec, event.payload)
                if hasattr(value, "__await__"):
                    value = await value
                if (returns := handler.returns) is not None and not isinstance(value, returns.sure):
                    returns.require(value)
            else:
                value = await handler
        except asyncio.CancelledError as error:
            self._fail(event, error)
            if is_being_cancelled():
                raise
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(event, error)
        else:
            self._reply(event, value)
        finally:
            event.work.ended()

    async def _finish_several(self, event: _Event[SenderT, CallT], rest: Continuation, outcome: Outcome) -> None:
        try:
            await rest.run(event.invoke, outcome)
        finally:
            event.work.ended()
            self._settle(event, outcome)

    def _use_up(self, event: _Event[SenderT, CallT], listeners: tuple[Listener, ...]) -> None:
        """Remove the handlers added with ``once`` that are about to be called."""
        busy = event.work.running >= self._limit
        self._handlers.remove_once(event.name, _reached(event, listeners, busy=busy))

    def _settle(self, event: _Event[SenderT, CallT], outcome: Outcome) -> None:
        if outcome.error is None:
            self._reply(event, outcome.value)
        else:
            self._refuse(event, outcome.error)

    def _reply(self, event: _Event[SenderT, CallT], value: Any) -> None:
        if event.call is None:
            return
        try:
            self._answer(event.sender, event.call, value)
        except InvalidPayload as error:
            self._fail(event, _unsendable("return value", error))

    def _fail(self, event: _Event[SenderT, CallT], error: BaseException) -> None:
        self._report(event, error)
        self._refuse(event, error)

    def _refuse(self, event: _Event[SenderT, CallT], error: BaseException) -> None:
        """Refuse with an EventError as it is; of any other error the sender is told only that there was one."""
        if event.call is None:
            return
        try:
            self._askers.refuse(event.sender, event.call, error if isinstance(error, EventError) else HANDLER_ERROR)
        except InvalidPayload as reason:
            self._report(event, _unsendable("refusal", reason))
            self._askers.refuse(event.sender, event.call, HANDLER_ERROR)

    def _report(self, event: _Event[SenderT, CallT], error: BaseException, *, told: bool = True) -> None:
        awaited = event.call is not None
        self._askers.report(event.sender, event.name, error, awaited=awaited, told=told and awaited)


def _invoke(listener: Listener, subject: object, codec: Codec, payload: RawPayload) -> Any:
    """Call a handler with as many of ``(subject, data)`` as it takes; its data is decoded first."""
    if listener.arity == 2:
        return listener.handler(subject, codec.payload(listener.payload, payload))
    if listener.takes_data:  # it was offered no subject
        return listener.handler(codec.payload(listener.payload, payload))
    return listener.handler(*(subject,)[: listener.arity])


def _reached(event: _Event[Any, Any], listeners: tuple[Listener, ...], *, busy: bool) -> list[Listener]:
    """Return the handlers that an event is about to reach: one that comes to nothing uses up no handler.

    Left out are those whose data does not fit, and if ``busy`` all from the first asynchronous one on.
    """
    reached: list[Listener] = []
    for listener in listeners:
        if busy and listener.is_async:
            break
        try:
            if listener.once and listener.takes_data:
                event.codec.payload(listener.payload, event.payload)
        except InvalidPayload:
            continue
        reached.append(listener)
    return reached


def _unsendable(what: str, reason: InvalidPayload) -> TypeError:
    return TypeError(f"the handler's {what} can't be sent: {reason.message}")
