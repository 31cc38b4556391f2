"""Answers events and calls of peers with what their handlers give: a value, or an error.

Servers, nodes and clients differ in how a message is decoded and an answer encoded. What lies between is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from time import monotonic
from types import CoroutineType
from typing import Any, Protocol

from crosswire.core.listeners import EventListeners, Listener
from crosswire.core.payloads import PayloadType
from crosswire.errors import EventError, InvalidPayload
from crosswire.runtime.contexts import ContextFactory
from crosswire.runtime.dispatch import Continuation, Outcome, call_sync, checked
from crosswire.runtime.tasks import is_being_cancelled
from crosswire.runtime.workers import JobEvents, Workers

HANDLER_ERROR = EventError("HANDLER_ERROR", "the handler failed")
"""Refusal of a call whose handler failed: its text stays where the handler is."""


class Asker(Protocol):
    """Sender of an event, who may wait for an answer. Where nobody waits, both methods do nothing."""

    def answer(self, value: Any) -> None:
        """Send the answer; raises InvalidPayload for a value that can't be sent."""

    def refuse(self, error: EventError) -> None:
        """Send a refusal; raises InvalidPayload for an error that can't be sent."""


class Invocation(Asker, Protocol):
    """One event, or one call, for which handlers are invoked."""

    @property
    def event(self) -> str:
        """Name of the event."""
        ...

    def call(self, listener: Listener) -> Any:
        """Call a handler with as many arguments as it takes; raises InvalidPayload if it takes data that don't fit."""

    def decode(self, kind: PayloadType) -> Any:
        """Decode the data; raises InvalidPayload."""

    def report(self, error: BaseException, *, told: bool) -> None:
        """Report what a handler raised.

        Args:
            error: the exception.
            told: whether the asker, if one waits, is told: all of an EventError, of others only that there was one.
        """


class Work(JobEvents, Protocol):
    """Asynchronous handlers of one peer, or of one node.

    Attributes:
        running: number of handlers that were started and have not ended.
        copy_context: returns a fresh context for one event.
    """

    running: int
    copy_context: ContextFactory

    def ended(self) -> None:
        """Count a handler as ended."""


class SharedWork:
    """Asynchronous handlers of all peers together, in the context of whoever hands over the event."""

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


class Answerer:
    """Calls the handlers of events, and answers calls with the outcome.

    A call is always answered: with the first value that is not None, with None, or with an error. Handlers begin in
    the order in which their events came. A synchronous one is called at once, if none is in front of it; an
    asynchronous one waits without holding up others.

    Args:
        events: the handlers; those added with ``once`` are removed here.
        workers: run the asynchronous handlers.
        limit: maximum number of asynchronous handlers of one :class:`Work`.
        busy: makes the error for an event, given its name, whose handler would be beyond the limit.
    """

    __slots__ = ("_busy", "_events", "_limit", "_waiting", "_watch", "_workers")

    def __init__(self, events: EventListeners, workers: Workers, limit: int, busy: Callable[[str], EventError]) -> None:
        self._events = events
        self._workers = workers
        self._waiting = workers.waiting
        self._watch = workers.watch
        self._limit = limit
        self._busy = busy

    def handle(self, invocation: Invocation, listeners: tuple[Listener, ...], work: Work) -> bool:
        """Call the handlers of an event; return whether one was started that may go on.

        Args:
            invocation: the event.
            listeners: its handlers, one at least.
            work: counts those that are asynchronous.
        """
        listener = listeners[0]
        if len(listeners) > 1:
            return self._handle_several(invocation, listeners, work)
        if listener.once:
            self._use_up(invocation, listeners, work)
        context = work.copy_context()
        if listener.is_async or self._waiting:  # behind those that came before and have not begun
            return self._start(self._finish_one(invocation, listener, work), invocation, work, context)
        watch = self._watch
        began = 0.0 if watch is None else monotonic()
        try:
            try:
                value = context.run(invocation.call, listener)
            finally:
                if watch is not None and monotonic() - began > watch.limit:
                    watch.tell(invocation.event, began)
            if (returns := listener.returns) is not None and not isinstance(value, returns.sure):
                value = checked(returns, value)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it may raise anything; it is reported
            self._fail(invocation, error)
            return False
        if type(value) is CoroutineType:
            started = self._start(self._finish_one(invocation, value, work), invocation, work, context)
            if not started:
                value.close()
            return started
        try:
            invocation.answer(value)
        except InvalidPayload as error:
            self._fail(invocation, _unsendable("the handler's return value", error))
        return False

    async def _finish_one(
        self, invocation: Invocation, handler: Listener | CoroutineType[Any, Any, Any], work: Work
    ) -> None:
        """Call the one handler of an event, unless it gave a coroutine already, and await what it gives if need be."""
        try:
            if isinstance(handler, Listener):
                value = invocation.call(handler)
                if hasattr(value, "__await__"):
                    value = await value
                if (returns := handler.returns) is not None and not isinstance(value, returns.sure):
                    returns.require(value)
            else:
                value = await handler
        except asyncio.CancelledError as error:
            self._fail(invocation, error)
            if is_being_cancelled():
                raise
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(invocation, error)
        else:
            self._answer(invocation, value)
        finally:
            work.ended()

    def _handle_several(self, invocation: Invocation, listeners: tuple[Listener, ...], work: Work) -> bool:
        if any(listener.once for listener in listeners):
            self._use_up(invocation, listeners, work)
        outcome = Outcome(lambda error: invocation.report(error, told=error is outcome.error))
        if self._waiting:
            rest: Continuation | None = Continuation(None, listeners, work.copy_context)
        else:
            rest = call_sync(listeners, invocation.call, outcome, work.copy_context, self._watch, invocation.event)
        if rest is None:
            self._settle(invocation, outcome)
            return False
        job = self._finish_several(rest, invocation, outcome, work)
        started = self._start(job, invocation, work, work.copy_context())
        if not started:
            rest.close()
        return started

    async def _finish_several(self, rest: Continuation, invocation: Invocation, outcome: Outcome, work: Work) -> None:
        try:
            await rest.run(invocation.call, outcome)
        finally:
            work.ended()
            self._settle(invocation, outcome)

    def _start(self, job: Coroutine[Any, Any, None], invocation: Invocation, work: Work, context: Context) -> bool:
        """Run the rest of an event in the background, unless too many do; return whether it does."""
        if work.running >= self._limit:
            job.close()
            self._fail(invocation, self._busy(invocation.event))
            return False
        work.running += 1
        self._workers.start(job, context, work, invocation.event)
        return True

    def _use_up(self, invocation: Invocation, listeners: tuple[Listener, ...], work: Work) -> None:
        """Remove the handlers added with ``once`` that are about to be called."""
        reached = _reached(listeners, invocation, busy=work.running >= self._limit)
        self._events.use_up(invocation.event, reached)

    def _settle(self, invocation: Invocation, outcome: Outcome) -> None:
        if outcome.error is None:
            self._answer(invocation, outcome.value)
        else:
            _refuse(invocation, outcome.error)

    def _answer(self, invocation: Invocation, value: Any) -> None:
        try:
            invocation.answer(value)
        except InvalidPayload as error:
            self._fail(invocation, _unsendable("the handler's return value", error))

    def _fail(self, invocation: Invocation, error: BaseException) -> None:
        invocation.report(error, told=True)
        _refuse(invocation, error)


def _refuse(invocation: Invocation, error: BaseException) -> None:
    """Refuse with an EventError as it is; of any other error the asker learns only that there was one."""
    try:
        invocation.refuse(error if isinstance(error, EventError) else HANDLER_ERROR)
    except InvalidPayload as reason:
        invocation.report(_unsendable("the refusal", reason), told=True)
        invocation.refuse(HANDLER_ERROR)


def _unsendable(what: str, reason: InvalidPayload) -> TypeError:
    return TypeError(f"{what} can't be sent: {reason.message}")


def _reached(listeners: tuple[Listener, ...], invocation: Invocation, *, busy: bool) -> list[Listener]:
    """Return the handlers that an event is about to reach: an event that comes to nothing uses up no ``once``.

    Left out are those whose data does not fit, and all from the first that has to wait, if ``busy``.
    """
    reached: list[Listener] = []
    for listener in listeners:
        if busy and listener.is_async:
            break
        try:
            if listener.once and listener.takes_data:
                invocation.decode(listener.payload)
        except InvalidPayload:
            continue
        reached.append(listener)
    return reached
