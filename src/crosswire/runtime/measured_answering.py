"""Counts of handled events, and the time from a call to its answer, around an :class:`Answerer`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from crosswire.core.codecs import Codec
from crosswire.core.decoded_calls import DecodedCall
from crosswire.core.listeners import Listener
from crosswire.core.metric_families import MetricFamily, labelled
from crosswire.core.payload_types import RawPayload
from crosswire.core.tallies import OTHER, EventHistograms
from crosswire.errors import EventError
from crosswire.runtime import environment
from crosswire.runtime.answering import Callers, EventHandling
from crosswire.runtime.handler_counts import HandlerCount

OUR_CODES = frozenset(
    {
        "BUSY",
        "CALL_LIMIT",
        "HANDLER_ERROR",
        "INVALID_MESSAGE",
        "INVALID_PAYLOAD",
        "NO_HANDLER",
        "ROOM_LIMIT",
        "TOO_LARGE",
    }
)
"""Codes of refusals that Crosswire itself gives; an application may give any number of others."""


_TimedCall = tuple[Any, str, float]
"""A call that is being answered: what its answer needs, its event, and when it came. A tuple is made fastest."""


class AnswerTimes:
    """Durations of the calls that were answered or refused, and the refusals by their codes."""

    __slots__ = ("refusals", "seconds")

    def __init__(self) -> None:
        self.seconds = EventHistograms()
        self.refusals: Counter[str] = Counter()

    def refused(self, code: object) -> None:
        """Count a refusal by its code."""
        self.refusals[str(code) if code in OUR_CODES else OTHER] += 1

    def families(self, seconds: tuple[str, str], refusals: tuple[str, str]) -> list[MetricFamily]:
        """Return both as metrics of these names and help texts."""
        codes = [((code,), number) for code, number in list(self.refusals.items())]
        return [self.seconds.family(*seconds), labelled("counter", *refusals, ("code",), codes)]


class AnsweredCall:
    """The call that is being answered at this moment.

    Attributes:
        event: its event; empty while no call is being answered.
    """

    __slots__ = ("event",)

    def __init__(self) -> None:
        self.event = ""


class MeasuredCallers:
    """The :class:`~crosswire.runtime.answering.Callers` of a measured answerer.

    Args:
        callers: send the events, and get the answers.
        times: where the durations are counted.
        answered: set while a call is being answered.
    """

    __slots__ = ("_answer", "_answered", "_callers", "_seconds", "_times", "busy", "report")

    def __init__(self, callers: Callers[Any, Any], times: AnswerTimes, answered: AnsweredCall) -> None:
        self._callers = callers
        self._answer = callers.answer
        self._times = times
        self._seconds = times.seconds
        self._answered = answered
        # Neither needs anything of this object.
        self.busy = callers.busy
        self.report = callers.report

    def answer(self, sender: Any, call: Any, value: Any) -> None:
        """Send an answer, and count the time that the call took."""
        origin, event, began = call
        self._answered.event = event
        try:
            self._answer(sender, origin, value)
        finally:
            self._answered.event = ""
        self._seconds.observe(event, environment.perf_counter() - began)

    def refuse(self, sender: Any, call: Any, error: EventError) -> None:
        """Send a refusal, and count it; a call without a handler took no time."""
        self._times.refused(error.code)
        if not isinstance(call, tuple):
            self._callers.refuse(sender, call, error)
            return
        origin, event, began = call
        self._answered.event = event
        try:
            self._callers.refuse(sender, origin, error)
        finally:
            self._answered.event = ""
        self._seconds.observe(event, environment.perf_counter() - began)


class MeasuredAnswerer:
    """Answerer that counts the events, and notes when a call came.

    Args:
        answerer: calls the handlers; its callers are :class:`MeasuredCallers`.
        count_event: called with the name of each event that has a handler.
    """

    __slots__ = ("_answerer", "_count_event")

    def __init__(self, answerer: EventHandling[Any, Any], count_event: Callable[[str], None]) -> None:
        self._answerer = answerer
        self._count_event = count_event

    def handle(
        self,
        name: str,
        listeners: tuple[Listener, ...],
        subject: object,
        codec: Codec,
        payload: RawPayload,
        sender: Any,
        call: Any,
        count: HandlerCount,
        /,
    ) -> bool:
        """Call the handlers of an event; see :meth:`crosswire.runtime.answering.Answerer.handle`."""
        self._count_event(name)
        timed: _TimedCall | None = None if call is None else (call, name, environment.perf_counter())
        return self._answerer.handle(name, listeners, subject, codec, payload, sender, timed, count)

    def handle_sole(
        self,
        name: str,
        listener: Listener,
        call_handler: DecodedCall,
        subject: object,
        payload: RawPayload,
        sender: Any,
        call: Any,
        count: HandlerCount,
        /,
    ) -> bool:
        """Call the only handler of an event; see :meth:`crosswire.runtime.answering.Answerer.handle_sole`."""
        self._count_event(name)
        timed: _TimedCall | None = None if call is None else (call, name, environment.perf_counter())
        return self._answerer.handle_sole(name, listener, call_handler, subject, payload, sender, timed, count)


class MeasuredAnswering:
    """An ``AnsweringObserver`` that measures.

    Args:
        times: where the durations of calls are counted.
        answered: set while a call is being answered.
        count_event: called with the name of each event that has a handler.
    """

    __slots__ = ("_answered", "_count_event", "_times")

    def __init__(self, times: AnswerTimes, answered: AnsweredCall, count_event: Callable[[str], None]) -> None:
        self._times = times
        self._answered = answered
        self._count_event = count_event

    def callers(self, callers: Callers[Any, Any]) -> Callers[Any, Any]:
        """Return callers that count how long calls take; see ``AnsweringObserver``."""
        return MeasuredCallers(callers, self._times, self._answered)

    def answerer(self, answerer: EventHandling[Any, Any]) -> EventHandling[Any, Any]:
        """Return an answerer that counts events; see ``AnsweringObserver``."""
        return MeasuredAnswerer(answerer, self._count_event)
