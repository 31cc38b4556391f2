"""Hands events and requests of nodes to the handlers, and their answers back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from time import monotonic
from types import CoroutineType
from typing import Any

import msgspec

from crosswire.cluster.dialect import Asker
from crosswire.core.listeners import EventListeners, Listener
from crosswire.core.messages import Codec
from crosswire.core.payloads import PayloadType, RawPayload
from crosswire.core.throttle import Throttle
from crosswire.errors import EventError, InvalidPayload
from crosswire.runtime.background_tasks import BackgroundTasks, is_being_cancelled
from crosswire.runtime.dispatch import Outcome, Unfinished, call_sync, checked, will_be_called
from crosswire.runtime.stop_signals import InterruptedBySignal
from crosswire.runtime.throttled_warnings import ThrottledWarnings, reason, shown
from crosswire.runtime.workers import Workers

logger = logging.getLogger("crosswire.cluster")

MOST_HANDLERS = 10_000
"""Asynchronous handlers of one node that may be at work at once; a request beyond is refused with BUSY, an event
beyond is dropped, and logged."""

HANDLER_ERROR = EventError("HANDLER_ERROR", "the handler failed")
_BUSY = EventError("BUSY", "too many events of nodes are still being handled")
_NO_HANDLER = EventError("NO_HANDLER", "the node has no handler for this event")


class Responder:
    """The events of one node: who handles them, and how many are at work.

    Handlers begin in the order in which their events came; a synchronous one is called at once, if none is in front
    of it. A request is always answered: with the first value that is not None, with None, or with an error. Only one
    that nobody here handles is left to others, where it does not wait for this node.

    Args:
        events: the handlers, called with ``(sender, data)``.
        tasks: where the asynchronous ones are run.
        own: whether they are the application's, which is to know what it has no handler for.
    """

    def __init__(self, events: EventListeners, tasks: BackgroundTasks, *, own: bool = True) -> None:
        self._events = events
        self._own = own
        self._warnings = ThrottledWarnings(logger)
        self._workers = Workers(tasks)
        self._watch = tasks.watch
        self._running = 0
        self._throttle = Throttle()
        self._held: deque[Callable[[], None]] | None = None

    def hold(self) -> None:
        """Keep what comes until :meth:`release`; of more than ``MOST_HANDLERS``, the first are forgotten."""
        self._held = deque(maxlen=MOST_HANDLERS)

    def release(self) -> None:
        """Take what was kept, and from now on what comes."""
        held, self._held = self._held, None
        for take in held or ():
            take()

    def event(self, sender: str, event: str, codec: Codec, payload: RawPayload) -> None:
        """Take an event; without a handler nothing is done, and that is logged."""
        if self._held is not None:
            self._hold(partial(self.event, sender, event, codec, payload))
            return
        listeners = self._take(event, codec, payload)
        if listeners:
            self._handle(None, sender, event, listeners, codec, payload)
        elif self._own:
            text = "there is no handler for the nodes' event %r, from %r: nothing is done (logged once for each name)"
            self._warnings.warn_once("there is no handler", event, text, shown(sender))

    def own_event(self, sender: str, event: str, codec: Codec, payload: RawPayload) -> None:
        """Take an event that this node sent to all: it may have handlers elsewhere only."""
        if self._events.of(event):
            self.event(sender, event, codec, payload)

    def request(self, asker: Asker, sender: str, event: str, codec: Codec, payload: RawPayload) -> None:
        """Take a request."""
        if self._held is not None:
            self._hold(partial(self.request, asker, sender, event, codec, payload))
            return
        listeners = self._take(event, codec, payload)
        if listeners:
            self._handle(asker, sender, event, listeners, codec, payload)
        elif asker.awaits_node:
            asker.refuse(_NO_HANDLER)

    def _take(self, event: str, codec: Codec, payload: RawPayload) -> tuple[Listener, ...]:
        """The handlers of an event; those that are called once, and now, are removed."""
        listeners = self._events.of(event)
        for listener in listeners:
            if listener.once:
                busy = self._running >= MOST_HANDLERS
                reached = will_be_called(listeners, 1, lambda kind: codec.payload(kind, payload), busy=busy)
                self._events.remove_once(event, reached)
                break
        return listeners

    def _hold(self, take: Callable[[], None]) -> None:
        assert self._held is not None, "whoever calls has looked"
        if len(self._held) == MOST_HANDLERS:
            self._warnings.warn("held", "an event of a node is lost: more than %d came before the start", MOST_HANDLERS)
        self._held.append(take)

    def drop(self) -> None:
        """Forget what has not begun."""
        self._workers.drop()

    def _handle(
        self,
        asker: Asker | None,
        sender: str,
        event: str,
        listeners: tuple[Listener, ...],
        codec: Codec,
        payload: RawPayload,
    ) -> None:
        listener = listeners[0]
        if listener.is_async or len(listeners) > 1 or self._workers.waiting:
            self._handle_any(_Said(asker, sender, event, codec, payload), listeners)
            return
        context = copy_context()
        watch = self._watch
        began = 0.0 if watch is None else monotonic()
        try:  # one plain function, which is the rule and the fastest
            try:
                if listener.arity == 2:
                    value = context.run(listener.handler, sender, codec.payload(listener.payload, payload))
                else:
                    value = context.run(listener.handler, *(sender,)[: listener.arity])
            finally:
                if watch is not None and monotonic() - began > watch.limit:
                    watch.report(event, began)
            if (returns := listener.returns) is not None and not isinstance(value, returns.sure):
                value = checked(returns, value)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it may raise anything; it is reported
            self._failed(event, asker, error)
            if asker is not None:
                self._refuse(asker, event, _told(error))
            return
        if type(value) is CoroutineType:
            self._start(_Said(asker, sender, event, codec, payload), Unfinished((context, value), ()))
        elif asker is not None:
            self._answer(asker, event, value)

    def _handle_any(self, said: _Said, listeners: tuple[Listener, ...]) -> None:
        if self._workers.waiting or listeners[0].is_async:
            self._start(said, Unfinished(None, listeners))
            return
        outcome = self._outcome(said)
        unfinished = call_sync(listeners, (said.sender,), said.decode, outcome, copy_context, self._watch, said.event)
        if unfinished is not None:
            self._start(said, unfinished, outcome)
        elif said.asker is not None:
            self._settle(said.asker, said.event, outcome)

    def _start(self, said: _Said, unfinished: Unfinished, outcome: Outcome | None = None) -> None:
        if self._running < MOST_HANDLERS:
            self._running += 1
            self._workers.start(self._finish(said, unfinished, outcome), copy_context(), what=said.event)
            return
        unfinished.drop()
        if said.asker is not None:
            said.asker.refuse(_BUSY)
        else:
            self._failed(said.event, None, RuntimeError("too many handlers are at work; the event was dropped"))

    async def _finish(self, said: _Said, unfinished: Unfinished, outcome: Outcome | None) -> None:
        outcome = outcome or self._outcome(said)
        try:
            await unfinished.finish((said.sender,), said.decode, outcome)
        finally:
            self._running -= 1
            if said.asker is not None:
                self._settle(said.asker, said.event, outcome)

    def _outcome(self, said: _Said) -> Outcome:
        return Outcome(partial(self._failed, said.event, said.asker))

    def _settle(self, asker: Asker, event: str, outcome: Outcome) -> None:
        if outcome.error is None:
            self._answer(asker, event, outcome.value)
        else:
            self._refuse(asker, event, _told(outcome.error))

    def _answer(self, asker: Asker, event: str, value: Any) -> None:
        try:
            asker.answer(value)
        except InvalidPayload as error:
            self._failed(event, asker, TypeError(f"the handler's return value can't be sent: {error.message}"))
            asker.refuse(HANDLER_ERROR)

    def _refuse(self, asker: Asker, event: str, error: EventError) -> None:
        try:
            asker.refuse(error)
        except InvalidPayload as reason:
            self._failed(event, None, TypeError(f"the refusal can't be sent: {reason.message}"))
            asker.refuse(HANDLER_ERROR)

    def _failed(self, event: str, asker: Asker | None, error: BaseException) -> None:
        """Log a failure of the application's own code. A refusal is an answer and no failure, where somebody asked."""
        if asker is not None and isinstance(error, EventError):
            return
        if isinstance(error, InterruptedBySignal) or (
            isinstance(error, asyncio.CancelledError) and is_being_cancelled()
        ):
            return
        if isinstance(error, EventError):  # nobody asked; and no data in the log, which a traceback would show
            text = "a handler of the nodes' event %r refused it, and nobody waits for an answer: %s"
            self._warnings.warn("refused", text, event, reason(error))
            return
        held_back = self._throttle.admit((event, type(error)), time.monotonic())
        if held_back is not None:
            also = f" ({held_back} more of these were not logged)" if held_back else ""
            logger.error("a handler of the nodes' event %r failed%s", event, also, exc_info=error)


class _Said(msgspec.Struct):
    """What a node said to this one, and who waits for an answer, if anybody does."""

    asker: Asker | None
    sender: str
    event: str
    codec: Codec
    payload: RawPayload

    def decode(self, kind: PayloadType) -> Any:
        """Decode the payload for one handler; raises InvalidPayload."""
        return self.codec.payload(kind, self.payload)


def _told(error: BaseException) -> EventError:
    """What the asker is told: a deliberate refusal as it is; of a failure, only that there was one."""
    return error if isinstance(error, EventError) else HANDLER_ERROR
