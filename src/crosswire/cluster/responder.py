"""Handling of the events and requests of other nodes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from crosswire.cluster.dialect import AskedRequest, Asker
from crosswire.core.codecs import Codec
from crosswire.core.listeners import EventListeners
from crosswire.core.payload_types import RawPayload
from crosswire.core.throttle import Throttle
from crosswire.core.traceparents import TRACEPARENT, incoming
from crosswire.errors import EventError
from crosswire.runtime import environment
from crosswire.runtime.answering import Answerer, AnsweringObserver, Callers, EventHandling
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.handler_counts import SharedHandlerCount
from crosswire.runtime.log_records import about, get_logger
from crosswire.runtime.stop_signals import is_broken_off
from crosswire.runtime.throttled_warnings import ThrottledWarnings, reason, shown
from crosswire.runtime.workers import Workers

logger = get_logger("crosswire.cluster")

MAX_HANDLERS = 10_000
"""Number of asynchronous handlers of one node that may be at work; beyond it, a request is refused with BUSY, and an
event is dropped and logged. As many events are held before a node's start."""

_BUSY = EventError("BUSY", "too many events of nodes are still being handled")
_NO_HANDLER = EventError("NO_HANDLER", "the node has no handler for this event")


class Responder:
    """Hands the events and requests of other nodes to the handlers of one node.

    An event without a handler is ignored. A request without a handler is refused if its sender waits for this node;
    if the sender waits for any node, this one stays silent, as another node may have a handler.

    Args:
        events: the handlers, called with ``(sender, data)``.
        tasks: run the asynchronous handlers.
        warn_unhandled: whether events without a handler are logged.
        max_handlers: number of asynchronous handlers that may be at work, and of events that are held.
    """

    def __init__(
        self,
        events: EventListeners,
        tasks: BackgroundTasks,
        *,
        warn_unhandled: bool = True,
        max_handlers: int = MAX_HANDLERS,
    ) -> None:
        self._events = events
        self._warn_unhandled = warn_unhandled
        self._max_held = max_handlers
        self._workers = Workers(tasks)
        self._failures = _FailureLog()
        self._callers: Callers[str, Asker] = _Nodes(self._failures)
        answerer = Answerer(self._callers, events, self._workers, max_handlers)
        self._base_answerer = answerer
        self._answerer: EventHandling[str, Asker] = answerer
        self._count = SharedHandlerCount()
        self._held: deque[Callable[[], None]] | None = None

    def observe(self, observer: AnsweringObserver) -> None:
        """Let metrics or tracing see every event from now on."""
        self._callers = observer.callers(self._callers)
        self._base_answerer.replace_callers(self._callers)
        self._answerer = observer.answerer(self._answerer)

    def hold(self) -> None:
        """Keep events and requests until :meth:`release`; if there are too many, the oldest are dropped."""
        self._held = deque(maxlen=self._max_held)

    def release(self) -> None:
        """Handle the events and requests that were kept, and from now on new ones at once."""
        held, self._held = self._held, None
        for handle in held or ():
            handle()

    def event(self, sender: str, event: str, codec: Codec, payload: RawPayload, traceparent: str | None = None) -> None:
        """Handle an event; log an event that has no handler."""
        if traceparent is not None:
            with incoming(traceparent):
                self.event(sender, event, codec, payload)
        elif self._held is not None:
            self._hold(self._held, partial(self.event, sender, event, codec, payload, TRACEPARENT.get()))
        elif listeners := self._events.of(event):
            self._answerer.handle(event, listeners, sender, codec, payload, sender, None, self._count)
        elif self._warn_unhandled:
            self._failures.unhandled(sender, event)

    def own_event(self, sender: str, event: str, codec: Codec, payload: RawPayload) -> None:
        """Handle an event that this node has sent to all nodes, itself included.

        Nothing is logged without a handler: other nodes may have one.
        """
        if self._events.of(event):
            self.event(sender, event, codec, payload)

    def request(
        self,
        asker: Asker,
        sender: str,
        event: str,
        codec: Codec,
        payload: RawPayload,
        traceparent: str | None = None,
    ) -> None:
        """Handle a request, and answer it."""
        if traceparent is not None:
            with incoming(traceparent):
                self.request(asker, sender, event, codec, payload)
        elif self._held is not None:
            self._hold(self._held, partial(self.request, asker, sender, event, codec, payload, TRACEPARENT.get()))
        elif listeners := self._events.of(event):
            self._answerer.handle(event, listeners, sender, codec, payload, sender, asker, self._count)
        elif asker.awaits_node:
            asker.refuse(_NO_HANDLER)

    def all_requested(self, asked: Sequence[AskedRequest], otherwise: Callable[[AskedRequest], None]) -> None:
        """Handle requests of nodes of ours that came together, and answer them.

        Args:
            asked: the requests. No event of an application has the name of a service.
            otherwise: takes those that need more than a call of their handler.
        """
        find_sole, handle, count = self._events.find_sole, self._answerer.handle_sole, self._count
        for each in asked:
            request = each.request
            listener = find_sole(request.event)
            if listener is None or request.traceparent is not None or self._held is not None:
                otherwise(each)
                continue
            sender = request.sender
            handle(request.event, listener, listener.call_msgpack, sender, request.payload, sender, each, count)

    def drop(self) -> None:
        """Discard the events whose handlers have not begun."""
        self._workers.drop()

    def _hold(self, held: deque[Callable[[], None]], handle: Callable[[], None]) -> None:
        if len(held) == self._max_held:
            self._failures.lost_before_start(self._max_held)
        held.append(handle)


class _Nodes:
    """Implements :class:`crosswire.runtime.answering.Callers`: a call is an :class:`Asker`."""

    __slots__ = ("_failures",)

    def __init__(self, failures: _FailureLog) -> None:
        self._failures = failures

    @staticmethod
    def answer(sender: str, asker: Asker, value: Any) -> None:
        asker.answer(value)

    @staticmethod
    def refuse(sender: str, asker: Asker, error: EventError) -> None:
        asker.refuse(error)

    @staticmethod
    def busy(event: str) -> EventError:
        return _BUSY

    def report(self, sender: str, event: str, error: BaseException, *, awaited: bool, is_answer: bool) -> None:
        self._failures.add(event, error, awaited=awaited)


class _FailureLog:
    """Logs events of nodes that failed or were lost; repetitions are logged from time to time."""

    __slots__ = ("_throttle", "_warnings")

    def __init__(self) -> None:
        self._warnings = ThrottledWarnings(logger)
        self._throttle = Throttle()

    def add(self, event: str, error: BaseException, *, awaited: bool) -> None:
        """Log an exception of a handler.

        Args:
            event: the event it handles.
            error: the exception. An EventError that answers a request is not logged, nor is a handler that a stop or a
                signal breaks off.
            awaited: whether a node waits for an answer.
        """
        if isinstance(error, EventError):
            if not awaited:
                self._refused(event, error)
            return
        if is_broken_off(error):
            return
        held_back = self._throttle.admit((event, type(error)), environment.monotonic())
        if held_back is not None:
            also = f" ({held_back} more of these were not logged)" if held_back else ""
            logger.error(
                "a handler of the nodes' event %r failed%s", event, also, exc_info=error, extra=about(event=event)
            )

    def _refused(self, event: str, error: EventError) -> None:
        """Log a refusal that nobody waits for, without a traceback: that might show data."""
        if error is _BUSY:
            text = "the nodes' event %r was dropped: too many are still being handled"
            self._warnings.warn("busy", text, event, extra=about(event=event))
        else:
            text = "a handler of the nodes' event %r refused it, and nobody waits for an answer: %s"
            self._warnings.warn("refused", text, event, reason(error), extra=about(event=event))

    def unhandled(self, sender: str, event: str) -> None:
        """Log that there is no handler."""
        text = "there is no handler for the nodes' event %r, from %r: nothing is done (logged once for each name)"
        self._warnings.warn_once("there is no handler", event, text, shown(sender), extra=about(event=event))

    def lost_before_start(self, limit: int) -> None:
        """Log that an event was dropped because too many came before the node's start."""
        self._warnings.warn("held", "an event of a node is lost: more than %d came before the start", limit)
