from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from crosswire.errors import EventError, NotConnected
from crosswire.server.client_calls import PendingClientCall, PendingClientGather
from crosswire.types import Replies
from tests.support.loops import on_instant_loop


@dataclass(eq=False)
class FakeClient:
    user: str


async def test_one_answer_is_given() -> None:
    waiter, asked = PendingClientCall(), FakeClient("13")
    waiter.answered(asked, 5)
    waiter.answered(asked, 6)
    waiter.refused(asked, EventError("late"))
    waiter.lost(asked)
    assert await waiter.future == 5


async def test_a_refusal_names_who_refused() -> None:
    waiter, asked = PendingClientCall(), FakeClient("13")
    waiter.refused(asked, EventError("full"))
    waiter.answered(asked, 5)
    with pytest.raises(EventError, match="full") as caught:
        await waiter.future
    assert caught.value.sender == "13"


async def test_a_lost_connection_is_told_at_once() -> None:
    waiter = PendingClientCall()
    waiter.lost(FakeClient("13"))
    with pytest.raises(NotConnected, match="'13'"):
        await waiter.future


async def gather_answers(users: list[str], connections: list[FakeClient], *happens: Any) -> tuple[Replies, float]:
    """Ask, let things happen a second apart, and return the replies and how long they took."""

    loop = asyncio.get_running_loop()
    answers = PendingClientGather(users, connections)
    for delay, (what, *arguments) in enumerate(happens, 1):
        loop.call_later(delay, getattr(answers, what), *arguments)
    began = loop.time()
    replies = await answers.wait(50)
    return replies, round(loop.time() - began, 3)


@on_instant_loop
async def test_all_answers_are_gathered_by_user() -> None:
    a, b = FakeClient("a"), FakeClient("b")
    replies, seconds = await gather_answers(["a", "b"], [a, b], ("answered", b, None), ("answered", a, 5))
    assert replies == {"a": 5, "b": None}
    assert replies.complete
    assert seconds == 2


@on_instant_loop
async def test_the_first_answer_of_a_user_counts() -> None:
    first, second, b = FakeClient("a"), FakeClient("a"), FakeClient("b")
    replies, seconds = await gather_answers(
        ["a", "b"], [first, second, b], ("answered", second, 1), ("answered", first, 2), ("answered", b, 3)
    )
    assert (dict(replies), replies.missing, seconds) == ({"a": 1, "b": 3}, (), 3)


@on_instant_loop
async def test_a_refusal_is_an_answer_that_names_its_user() -> None:
    a, again = FakeClient("a"), FakeClient("a")
    refused = EventError("full")
    replies, seconds = await gather_answers(["a"], [a, again], ("refused", a, refused), ("answered", again, 1))
    assert (dict(replies), replies.errors, replies.complete, seconds) == ({}, {"a": refused}, True, 1)
    assert refused.sender == "a"


@on_instant_loop
async def test_who_does_not_answer_in_time_is_missing() -> None:
    a, b = FakeClient("a"), FakeClient("b")
    replies, seconds = await gather_answers(["a", "b"], [a, b], ("answered", a, 1))
    assert (dict(replies), replies.missing, seconds) == ({"a": 1}, ("b",), 50)


@on_instant_loop
async def test_who_is_lost_is_missing_without_being_waited_for() -> None:
    a, b = FakeClient("a"), FakeClient("b")
    replies, seconds = await gather_answers(["a", "b"], [a, b], ("answered", a, 1), ("lost", b))
    assert (dict(replies), replies.missing, seconds) == ({"a": 1}, ("b",), 2)


@on_instant_loop
async def test_a_user_may_answer_on_the_connection_that_is_left() -> None:
    first, second = FakeClient("a"), FakeClient("a")
    replies, seconds = await gather_answers(["a"], [first, second], ("lost", first), ("answered", second, 1))
    assert (dict(replies), replies.missing, seconds) == ({"a": 1}, (), 2)


@on_instant_loop
async def test_a_user_who_lost_all_connections_is_missing() -> None:
    first, second = FakeClient("a"), FakeClient("a")
    replies, seconds = await gather_answers(["a"], [first, second], ("lost", second), ("lost", first))
    assert (dict(replies), replies.missing, seconds) == ({}, ("a",), 2)


@on_instant_loop
async def test_losing_a_connection_after_the_answer_changes_nothing() -> None:
    a, b = FakeClient("a"), FakeClient("b")
    replies, seconds = await gather_answers(["a", "b"], [a, b], ("answered", a, 1), ("lost", a), ("answered", b, 2))
    assert (dict(replies), seconds) == ({"a": 1, "b": 2}, 3)


@on_instant_loop
async def test_users_without_a_connection_are_missing_and_hold_up_nobody() -> None:
    a = FakeClient("a")
    replies, seconds = await gather_answers(["a", "away"], [a], ("answered", a, 1))
    assert (dict(replies), replies.missing, seconds) == ({"a": 1}, ("away",), 1)


@on_instant_loop
async def test_nobody_to_ask_is_answered_at_once() -> None:
    assert (await gather_answers(["away"], []))[1] == 0
    assert (await gather_answers([], []))[0].complete
