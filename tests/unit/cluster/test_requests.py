from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.cluster.requests import Awaited, GatherAsk, OneAsk, PendingRequests, ReplyStream, StreamInbox
from crosswire.core import envelopes
from crosswire.core.messages import MSGPACK
from crosswire.errors import CallTimeout, EventError, InvalidPayload, NodeGone
from crosswire.types import Replies, Reply
from tests.support import aio

Main = Callable[[], Coroutine[Any, Any, None]]


def on_a_loop(test: Main) -> Callable[[], None]:
    """Run an asynchronous test."""

    def run() -> None:
        aio.run(test())

    run.__name__ = test.__name__
    return run


_names = st.lists(st.sampled_from("abcd"), max_size=6)


@given(_names, st.lists(st.tuples(st.sampled_from(["answer", "lose"]), st.sampled_from("abcde")), max_size=12))
def test_each_who_was_asked_counts_once_and_is_answered_lost_or_waited_for(
    asked: list[str], happenings: list[tuple[str, str]]
) -> None:
    awaited = Awaited(asked, None)
    answered: set[str] = set()
    lost: list[str] = []
    for kind, name in happenings:
        waiting = set(asked) - answered - set(lost)
        if kind == "answer":
            assert awaited.answers(name) == (name in waiting)
            answered |= {name} & waiting
        else:
            awaited.loses(name)
            lost += [name] if name in waiting else []
    assert sorted(awaited.missing) == sorted(set(asked) - answered)
    assert list(awaited.missing[: len(lost)]) == lost
    assert awaited.over == (answered | set(lost) == set(asked))


@given(st.integers(1, 4), st.lists(st.sampled_from("abcde"), max_size=12))
def test_as_many_answers_as_expected_are_enough_whoever_gives_them(expect: int, answers: list[str]) -> None:
    awaited = Awaited("ab", expect)
    answered: set[str] = set()
    for name in answers:
        assert awaited.answers(name) == (name not in answered)
        answered.add(name)
    assert awaited.over == (len(answered) >= expect)
    assert set(awaited.missing) == (set() if awaited.over else set("ab") - answered)


@on_a_loop
async def test_one_answer_ends_a_call_and_others_do_not() -> None:
    ask = OneAsk("b", "x", 5, asyncio.get_running_loop())
    assert not ask.reply("c", "forged", None)
    assert not ask.lost("c")
    assert ask.reply("b", 1, None)
    assert ask.reply("b", 2, None)
    ask.end()
    assert await ask.future == 1


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (lambda ask: ask.reply("b", None, EventError("full")), EventError),
        (lambda ask: ask.lost("b"), NodeGone),
        (lambda ask: ask.end(), CallTimeout),
    ],
)
async def test_how_a_call_fails(end: Callable[[OneAsk], object], error: type[Exception]) -> None:
    ask = OneAsk("b", "x", 5, asyncio.get_running_loop())
    end(ask)
    with pytest.raises(error):
        await ask.future


@on_a_loop
async def test_a_gather_ends_with_the_last_who_was_asked() -> None:
    ask = GatherAsk(Awaited("abc", None), None)
    assert not ask.settle()
    assert not ask.reply("a", None, None)
    assert not ask.reply("a", "again", None)
    assert not ask.reply("b", None, EventError("full"))
    assert ask.lost("c")
    replies = await ask.future
    assert isinstance(replies, Replies)
    assert (dict(replies), list(replies.errors), replies.missing) == ({"a": None}, ["b"], ("c",))


@on_a_loop
async def test_a_gather_of_nobody_ends_at_once() -> None:
    ask = GatherAsk(Awaited((), None), None)
    assert ask.settle()
    assert (await ask.future).complete


@on_a_loop
async def test_a_stream_gives_what_came_before_it_ended() -> None:
    forgotten: list[int] = []
    inbox = StreamInbox(Awaited("abc", None))
    stream = ReplyStream(inbox, lambda: forgotten.append(1))
    inbox.reply("a", 1, None)
    inbox.reply("b", 2, None)
    inbox.end()
    inbox.reply("c", 3, None)
    assert [reply async for reply in stream] == [Reply("a", 1), Reply("b", 2)]
    assert stream.missing == ("c",)
    assert forgotten


@on_a_loop
async def test_a_stream_that_nobody_reads_any_more_is_forgotten() -> None:
    forgotten: list[int] = []
    stream = ReplyStream(StreamInbox(Awaited("abc", None)), lambda: forgotten.append(1))
    del stream
    gc.collect()
    assert forgotten


@on_a_loop
async def test_answers_find_their_asks_by_id() -> None:
    asks = PendingRequests("mine-")
    one, other = OneAsk("b", "x", 5, asyncio.get_running_loop()), OneAsk("b", "y", 5, asyncio.get_running_loop())
    first, second = asks.begin(one, 5), asks.begin(other, 5)
    assert first != second
    assert first.startswith("mine-")
    for unknown in ("", "mine-", "1", "mine-zz"):
        asks.answered("b", unknown, MSGPACK, envelopes.pack(0))
        asks.refused("b", unknown, EventError("full"))
    asks.answered("b", second, MSGPACK, envelopes.pack(2))
    asks.answered("c", first, MSGPACK, envelopes.pack(3))
    asks.answered("b", first, MSGPACK, envelopes.pack(1))
    assert (await one.future, await other.future) == (1, 2)
    assert len(asks) == 0


@on_a_loop
async def test_an_answer_that_can_not_be_read_is_an_error_of_its_sender() -> None:
    asks, ask = PendingRequests(), OneAsk("b", "x", 5, asyncio.get_running_loop())
    asks.answered("b", asks.begin(ask, 5), MSGPACK, b"\xc1")  # type: ignore[arg-type]
    with pytest.raises(InvalidPayload) as caught:
        await ask.future
    assert caught.value.sender == "b"


@on_a_loop
async def test_whoever_is_gone_is_lost_to_all_asks() -> None:
    asks = PendingRequests()
    one, many = OneAsk("b", "x", 5, asyncio.get_running_loop()), GatherAsk(Awaited("bc", None), None)
    asks.begin(one, 5)
    asks.begin(many, 0.01)
    asks.gone("b")
    with pytest.raises(NodeGone):
        await one.future
    assert len(asks) == 1
    assert (await many.future).missing == ("b", "c")
    assert len(asks) == 0


@on_a_loop
async def test_all_end_when_the_node_stops() -> None:
    asks = PendingRequests()
    one, many, inbox = (
        OneAsk("b", "x", 5, asyncio.get_running_loop()),
        GatherAsk(Awaited("b", None), None),
        StreamInbox(Awaited("b", None)),
    )
    ids = [asks.begin(each, 5) for each in (one, many, inbox)]
    asks.forget(ids[0])
    asks.end_all()
    assert len(asks) == 0
    assert not one.future.done()
    assert (await many.future).missing == ("b",)
    assert await asyncio.wait_for(inbox.next(), 1) is None
