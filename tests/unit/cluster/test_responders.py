from __future__ import annotations

from typing import Any

import msgspec

from crosswire.cluster.responder import Responder
from crosswire.cluster.responders import Responders
from crosswire.core import envelopes
from crosswire.core.envelopes import NodeRequest
from crosswire.core.listeners import EventListeners
from crosswire.core.traceparents import TRACEPARENT
from crosswire.errors import EventError
from crosswire.runtime.background_tasks import BackgroundTasks

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Asked(msgspec.Struct):
    """A request, and all answers and refusals that were given to the requests of its batch."""

    request: NodeRequest
    answers: list[Any]
    awaits_node: bool = True

    def answer(self, value: Any) -> None:
        self.answers.append((self.request.event, value))

    def refuse(self, error: EventError) -> None:
        self.answers.append((self.request.event, error.code))


class RespondersUnderTest:
    """The responders of a node, with handlers, and what they answer."""

    def __init__(self) -> None:
        tasks, events, services = BackgroundTasks(), EventListeners(sender=str), EventListeners(sender=str)
        self.tasks = tasks
        self.responders = Responders(Responder(events, tasks), Responder(services, tasks))
        self.answers: list[Any] = []
        events.on("add", lambda sender, data: data + 1)
        events.on("who", lambda sender: sender)
        events.on("trace", lambda: TRACEPARENT.get())
        events.on("once", lambda: "first", once=True)
        services.on("count", lambda: 7)

    def ask(self, *events: str, data: Any = 1, traceparent: str | None = None) -> None:
        payload = envelopes.pack(data)
        requests = [NodeRequest("a", "0" * 16, "id", event, payload, traceparent) for event in events]
        self.responders.all_requested([Asked(each, self.answers) for each in requests])


def test_requests_that_come_together_are_answered_each_in_its_way_and_in_their_order() -> None:
    tested = RespondersUnderTest()
    tested.ask("add", "$count", "who", "unknown", "once", "once", "$ping", "add")
    assert tested.answers == [
        ("add", 2),
        ("$count", 7),
        ("who", "a"),
        ("unknown", "NO_HANDLER"),
        ("once", "first"),
        ("once", "NO_HANDLER"),
        ("$ping", None),
        ("add", 2),
    ]


def test_a_handler_sees_the_trace_of_its_own_request_alone() -> None:
    tested = RespondersUnderTest()
    tested.ask("trace", traceparent=TRACE)
    tested.ask("trace")
    assert tested.answers == [("trace", TRACE), ("trace", None)]


def test_requests_are_kept_until_the_start_but_for_the_question_whether_the_node_lives() -> None:
    tested = RespondersUnderTest()
    tested.responders.hold()
    tested.ask("who", "$ping", "add")
    assert tested.answers == [("$ping", None)]
    tested.responders.application.release()
    assert tested.answers == [("$ping", None), ("who", "a"), ("add", 2)]


def test_a_handler_that_fails_spoils_no_request_behind_it() -> None:
    tested = RespondersUnderTest()
    tested.ask("add", data="no number")
    tested.ask("add", "add")
    assert tested.answers == [("add", "HANDLER_ERROR"), ("add", 2), ("add", 2)]
