from __future__ import annotations

from typing import Any

import pytest

from crosswire.core.codecs import JSON
from crosswire.core.listeners import NO_LISTENERS, Listener
from crosswire.core.messages import ABSENT
from crosswire.core.metric_families import Distribution
from crosswire.core.signatures import Arguments
from crosswire.errors import EventError
from crosswire.runtime.handler_counts import SharedHandlerCount
from crosswire.runtime.measured_answering import AnsweredCall, AnswerTimes, MeasuredAnswerer, MeasuredCallers


class NotedCallers:
    """Callers that note what they are told, and during which call."""

    def __init__(self, answered: AnsweredCall) -> None:
        self.told: list[tuple[Any, ...]] = []
        self._answered = answered

    def answer(self, sender: str, call: int, value: Any) -> None:
        self.told.append((sender, call, value, self._answered.event))
        if value == "unsendable":
            raise ValueError(value)

    def refuse(self, sender: str, call: int, error: EventError) -> None:
        self.told.append((sender, call, error.code, self._answered.event))

    def busy(self, event: str) -> EventError:
        return EventError("BUSY", event)

    def report(self, sender: str, event: str, error: BaseException, *, awaited: bool, is_answer: bool) -> None:
        self.told.append((sender, event, error, awaited, is_answer))


class NotedHandling:
    """Keeps the calls that it is given."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def handle(self, name: str, *arguments: Any) -> bool:
        self.calls.append(arguments[5])
        return True

    def handle_sole(self, name: str, *arguments: Any) -> bool:
        self.calls.append(arguments[5])
        return True


def say(_sender: str) -> None: ...


LISTENERS = (Listener(say, Arguments(data=True, sender=str), "say"),)


class Measured:
    """A measured answerer of fakes; its events are counted in ``events``."""

    def __init__(self) -> None:
        self.times, answered = AnswerTimes(), AnsweredCall()
        self.base = NotedCallers(answered)
        self.callers = MeasuredCallers(self.base, self.times, answered)
        self.handling = NotedHandling()
        self.events: list[str] = []
        self._answerer = MeasuredAnswerer(self.handling, self.events.append)

    def handle(self, event: str, call: int | None) -> Any:
        """Hand on an event; return the call as the handlers' callers get it."""
        assert self._answerer.handle(event, NO_LISTENERS, None, JSON, ABSENT, "13", call, SharedHandlerCount())
        return self.handling.calls[-1]

    def handle_sole(self, event: str, call: int | None) -> Any:
        """Hand on an event that has one handler; return the call as the handlers' callers get it."""
        (listener,) = LISTENERS
        count = SharedHandlerCount()
        assert self._answerer.handle_sole(event, listener, listener.call_json, None, ABSENT, "13", call, count)
        return self.handling.calls[-1]

    def counts(self) -> dict[str, int]:
        family, _ = self.times.families(("seconds", ""), ("refused", ""))
        return {
            sample.labels[0]: sum(sample.value.counts)
            for sample in family.samples
            if isinstance(sample.value, Distribution)
        }

    def refusals(self) -> dict[str, float]:
        _, family = self.times.families(("seconds", ""), ("refused", ""))
        return {sample.labels[0]: float(sample.value) for sample in family.samples}  # type: ignore[arg-type]


def test_an_answer_reaches_its_call_and_its_time_is_counted() -> None:
    measured = Measured()
    measured.callers.answer("13", measured.handle("say", 7), "hello")
    assert measured.base.told == [("13", 7, "hello", "say")]
    measured.callers.answer("13", measured.handle_sole("say", 8), "again")
    assert measured.base.told[1:] == [("13", 8, "again", "say")]
    assert measured.counts() == {"say": 2}
    assert measured.events == ["say", "say"]


def test_an_event_is_counted_and_not_timed() -> None:
    measured = Measured()
    assert measured.handle("say", None) is None
    assert measured.handle_sole("hello", None) is None
    assert measured.events == ["say", "hello"]
    assert measured.counts() == {}


def test_an_answer_that_can_not_be_sent_is_not_counted_until_it_is_refused() -> None:
    measured = Measured()
    call = measured.handle("say", 7)
    with pytest.raises(ValueError, match="unsendable"):
        measured.callers.answer("13", call, "unsendable")
    assert measured.counts() == {}
    measured.callers.refuse("13", call, EventError("HANDLER_ERROR", ""))
    assert measured.counts() == {"say": 1}
    assert measured.refusals() == {"HANDLER_ERROR": 1}


def test_refusals_of_the_application_share_a_label_and_a_call_without_a_handler_takes_no_time() -> None:
    measured = Measured()
    measured.callers.refuse("13", measured.handle("say", 1), EventError("made up", ""))
    measured.callers.refuse("13", measured.handle("say", 2), EventError("another", ""))
    measured.callers.refuse("13", 3, EventError("NO_HANDLER", ""))
    assert measured.refusals() == {"other": 2, "NO_HANDLER": 1}
    assert measured.counts() == {"say": 2}
    assert measured.base.told[-1] == ("13", 3, "NO_HANDLER", "")


def test_reports_and_the_error_of_a_busy_connection_pass() -> None:
    measured, error = Measured(), ValueError()
    assert measured.callers.busy("say").message == "say"
    measured.callers.report("13", "say", error, awaited=True, is_answer=False)
    assert measured.base.told == [("13", "say", error, True, False)]
