from __future__ import annotations

from contextlib import nullcontext
from typing import Any, cast

import msgspec

from crosswire.core import envelopes
from crosswire.emitter.connection import EmitterConnection
from crosswire.emitter.dialects import NodeReply
from crosswire.emitter.requests import gather_service


class FakeQuestion:
    """A question to which replies come, all at once."""

    def __init__(self, replies: list[NodeReply]) -> None:
        self._replies = replies

    def wait(self, timeout: float) -> list[NodeReply]:
        replies, self._replies = self._replies, []
        return replies


class FakeConnection:
    """A connection whose questions get these answers, one after the other: the sender and the data of each."""

    native = None

    def __init__(self, *questions: list[tuple[str, Any]]) -> None:
        self._questions = [[NodeReply(sender, pack(data), None) for sender, data in each] for each in questions]
        self._answers = 0
        self.asked: list[str] = []

    def question(self, dialect: object) -> nullcontext[FakeQuestion]:
        replies = self._questions.pop(0)
        self._answers = len(replies)
        return nullcontext(FakeQuestion(replies))

    def ask_all(self, question: object, event: str) -> int:
        return self._answers

    def ask_nodes(self, question: object, names: list[str], event: str, payload: object) -> dict[str, bool]:
        self.asked = names
        return dict.fromkeys(names, True)

    def gone(self, names: list[str]) -> list[str]:
        return names


def pack(data: Any) -> msgspec.Raw:
    return envelopes.pack(data)


def test_a_node_that_names_the_servers_in_another_way_does_not_keep_the_others_from_being_asked() -> None:
    connection = FakeConnection([("new", 7), ("newer", {"names": []}), ("a", ["a", "b"])], [("a", 1), ("b", 2)])
    replies = gather_service(cast(EmitterConnection, connection), "close", None)
    assert connection.asked == ["a", "b"]
    assert dict(replies) == {"a": 1, "b": 2}
