"""Answers events and calls of peers with what their handlers give: a value, or an error.

Servers, nodes and clients differ in how a message is decoded and an answer encoded. What lies between is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context, copy_context
from functools import partial
from time import monotonic
from types import CoroutineType
from typing import Any, Generic, Protocol, TypeVar

from crosswire.core.listeners import EventListeners, Listener
from crosswire.core.payloads import PayloadType
from crosswire.errors import EventError, InvalidPayload
from crosswire.runtime.contexts import ContextFactory
from crosswire.runtime.dispatch import CallListener, Continuation, Outcome, call_sync, checked
from crosswire.runtime.tasks import is_being_cancelled
from crosswire.runtime.workers import JobEvents, Workers

HANDLER_ERROR = EventError("HANDLER_ERROR", "the handler failed")
"""Refusal of a call whose handler failed: its text stays where the handler is."""


EventT = TypeVar("EventT")
EventT_contra = TypeVar("EventT_contra", contravariant=True)


class Peers(Protocol[EventT_contra]):
    """Peers of one kind: how their events are read, and how they are answered.

    An event is whatever these methods can use. One is made for each that comes, so a tuple will do: it is the cheapest.
    Where a peer does not wait for an answer, ``answer`` and ``refuse`` do nothing.
    """

    def call(self, event: EventT_contra, listener: Listener, /) -> Any:
        """Call a handler with as many arguments as it takes; raises InvalidPayload if it takes data that don't fit."""

    def decode(self, event: EventT_contra, kind: PayloadType, /) -> Any:
        """Decode the data; raises InvalidPayload."""

    def answer(self, event: EventT_contra, value: Any, /) -> None:
        """Send the answer; raises InvalidPayload for a value that can't be sent."""

    def refuse(self, event: EventT_contra, error: EventError, /) -> None:
        """Send a refusal; raises InvalidPayload for an error that can't be sent."""

    def busy(self, event: EventT_contra, /) -> EventError:
        """Return the error for an event for which no handler can be started, as too many are at work."""
        ...

    def report(self, event: EventT_contra, error: BaseException, /, *, told: bool) -> None:
        """Report what a handler raised.

        Args:
            event: that it handled.
            error: the exception.
            told: whether the peer is told, if it waits: all of an EventError, of others only that there was one.
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


class Answerer(Generic[EventT]):
    """Calls the handlers of events, and answers calls with the outcome.

    A call is always answered: with the first value that is not None, with None, or with an error. Handlers begin in
    the order in which their events came. A synchronous one is called at once, if none is in front of it; an
    asynchronous one waits without holding up others.

    Args:
        peers: send the events, and get the answers.
        handlers: by event; those added with ``once`` are removed here.
        workers: run the asynchronous handlers.
        limit: maximum number of asynchronous handlers of one :class:`Work`.
    """

    __slots__ = ("_answer", "_call", "_handlers", "_limit", "_peers", "_waiting", "_watch", "_workers")

    def __init__(self, peers: Peers[EventT], handlers: EventListeners, workers: Workers, limit: int) -> None:
        self._peers = peers
        self._call = peers.call  # bound once
        self._answer = peers.answer
        self._handlers = handlers
        self._workers = workers
        self._waiting = workers.waiting
        self._watch = workers.watch
        self._limit = limit

    def handle(
        self, name: str, event: EventT, listeners: tuple[Listener, ...], work: Work, awaited: bool
    ) -> bool:
        """Call the handlers of an event; return whether one was started that may go on.

        Args:
            name: of the event.
            event: as the peers know it.
            listeners: its handlers, one at least.
            work: counts the asynchronous ones.
        """
        listener = listeners[0]
        if len(listeners) > 1:
            return self._handle_several(name, event, listeners, work)
        if listener.once:
            self._use_up(name, event, listeners, work)
        context = work.copy_context()
        if listener.is_async or self._waiting:  # behind those that came before and have not begun
            return self._start(self._finish_one(event, listener, work), name, event, work, context)
        watch = self._watch
        began = 0.0 if watch is None else monotonic()
        try:
            try:
                value = context.run(self._call, event, listener)
            finally:
                if watch is not None and monotonic() - began > watch.limit:
                    watch.tell(name, began)
            if (returns := listener.returns) is not None and not isinstance(value, returns.sure):
                value = checked(returns, value)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it may raise anything; it is reported
            self._fail(event, error)
            return False
        if type(value) is CoroutineType:
            started = self._start(self._finish_one(event, value, work), name, event, work, context)
            if not started:
                value.close()
            return started
        if awaited:
            try:
                self._answer(event, value)
            except InvalidPayload as error:
                self._fail(event, _unsendable("the handler's return value", error))
        return False

    async def _finish_one(self, event: EventT, handler: Listener | CoroutineType[Any, Any, Any], work: Work) -> None:
        """Call the one handler of an event, or await the coroutine that it returned already, and answer."""
        try:
            if isinstance(handler, Listener):
                value = self._call(event, handler)
                if hasattr(value, "__await__"):
                    value = await value
                if (returns := handler.returns) is not None and not isinstance(value, returns.sure):
                    returns.require(value)
            else:
                value = await handler
            self._answer(event, value)
        except asyncio.CancelledError as error:
            self._fail(event, error)
            if is_being_cancelled():
                raise
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(event, error)
        finally:
            work.ended()

    def _handle_several(self, name: str, event: EventT, listeners: tuple[Listener, ...], work: Work) -> bool:
        if any(listener.once for listener in listeners):
            self._use_up(name, event, listeners, work)
        call, new_context = partial(self._call, event), work.copy_context
        outcome = Outcome(lambda error: self._peers.report(event, error, told=error is outcome.error))
        if self._waiting:
            rest: Continuation | None = Continuation(None, listeners, new_context)
        else:
            rest = call_sync(listeners, call, outcome, new_context, self._watch, name)
        if rest is None:
            self._settle(event, outcome)
            return False
        started = self._start(self._finish_several(rest, call, event, outcome, work), name, event, work, new_context())
        if not started:
            rest.close()
        return started

    async def _finish_several(
        self, rest: Continuation, call: CallListener, event: EventT, outcome: Outcome, work: Work
    ) -> None:
        try:
            await rest.run(call, outcome)
        finally:
            work.ended()
            self._settle(event, outcome)

    def _start(self, job: Coroutine[Any, Any, None], name: str, event: EventT, work: Work, context: Context) -> bool:
        """Run the rest of an event in the background, unless too many handlers are at work; return whether it runs."""
        if work.running >= self._limit:
            job.close()
            self._fail(event, self._peers.busy(event))
            return False
        work.running += 1
        self._workers.start(job, context, work, name)
        return True

    def _use_up(self, name: str, event: EventT, listeners: tuple[Listener, ...], work: Work) -> None:
        """Remove the handlers added with ``once`` that are about to be called."""
        busy = work.running >= self._limit
        self._handlers.use_up(name, self._reached(event, listeners, busy=busy))

    def _reached(self, event: EventT, listeners: tuple[Listener, ...], *, busy: bool) -> list[Listener]:
        """Return the handlers that an event is about to reach.

        Left out are those whose data does not fit, and if ``busy`` all from the first on that is asynchronous: an event
        that comes to nothing uses up no handler.
        """
        reached: list[Listener] = []
        for listener in listeners:
            if busy and listener.is_async:
                break
            try:
                if listener.once and listener.takes_data:
                    self._peers.decode(event, listener.payload)
            except InvalidPayload:
                continue
            reached.append(listener)
        return reached

    def _settle(self, event: EventT, outcome: Outcome) -> None:
        if outcome.error is not None:
            self._refuse(event, outcome.error)
            return
        try:
            self._answer(event, outcome.value)
        except InvalidPayload as error:
            self._fail(event, _unsendable("the handler's return value", error))

    def _fail(self, event: EventT, error: BaseException) -> None:
        self._peers.report(event, error, told=True)
        self._refuse(event, error)

    def _refuse(self, event: EventT, error: BaseException) -> None:
        """Refuse with an EventError as it is; of any other error the peer is told only that there was one."""
        try:
            self._peers.refuse(event, error if isinstance(error, EventError) else HANDLER_ERROR)
        except InvalidPayload as reason:
            self._peers.report(event, _unsendable("the refusal", reason), told=True)
            self._peers.refuse(event, HANDLER_ERROR)


def _unsendable(what: str, reason: InvalidPayload) -> TypeError:
    return TypeError(f"{what} can't be sent: {reason.message}")
