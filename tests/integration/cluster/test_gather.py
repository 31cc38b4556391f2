from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crosswire import EventError, InvalidPayload, Node, NodeGone
from crosswire.cluster.interface import Bus
from tests.integration.cluster.ghost import haunted
from tests.integration.cluster.support import FOUND_OUT, Heard, make_server, running, some_nodes
from tests.support.aio import wait_until

# Who answers what a asks: nodes a, b and server c; and who is missing.
ASKED: list[tuple[dict[str, Any], str, tuple[str, ...]]] = [
    ({}, "abc", ()),
    ({"include_self": False}, "bc", ()),
    ({"to": "b"}, "b", ()),
    ({"to": ["c", "a", "c"]}, "ac", ()),
    ({"to": ["a", "b"], "include_self": False}, "b", ()),
    ({"to": "a"}, "a", ()),
    ({"to": "a", "include_self": False}, "", ()),
    ({"to": []}, "", ()),
    ({"to": ["b", "nobody"]}, "b", ("nobody",)),
    ({"to": "nobody"}, "", ("nobody",)),
    ({"expect": 3}, "abc", ()),
    ({"to": ["b", "c"], "expect": 2}, "bc", ()),
]


async def test_who_is_asked(bus: Bus) -> None:
    server = make_server("c", bus)
    a, b = Node("a", bus=bus), Node("b", bus=bus)
    for node in (a, b, server.cluster):
        node.on("x", lambda sender, data, name=node.name: [sender, data, name])
    async with running(a, b, server):
        for options, answering, missing in ASKED:
            replies = await a.gather("x", 1, timeout=60, **options)
            assert dict(replies) == {name: ["a", 1, name] for name in answering}, options
            assert (replies.missing, replies.errors, replies.complete) == (missing, {}, not missing)


async def test_errors_are_apart_and_none_is_an_answer(bus: Bus) -> None:
    def refuse() -> None:
        raise EventError("full", "no room")

    async with some_nodes(bus, "a", "b", "c") as (a, b, c):
        a.on("x", lambda: None)
        b.on("x", refuse)
        replies = await a.gather("x")
        assert (dict(replies), replies.missing, replies.complete) == ({"a": None}, (), True)
        assert {name: (error.code, error.sender) for name, error in replies.errors.items()} == {
            "b": ("full", "b"),
            "c": ("NO_HANDLER", "c"),
        }
        assert c.running


async def test_who_is_silent_is_missing_after_the_timeout(bus: Bus) -> None:
    never = asyncio.Event()
    async with some_nodes(bus, "a", "b", "c") as (a, b, c):
        b.on("x", lambda: 1)
        c.on("x", lambda: never.wait())
        replies = await a.gather("x", include_self=False, timeout=1)
        assert (dict(replies), replies.missing, replies.complete) == ({"b": 1}, ("c",), False)
        never.set()


async def test_expect_ends_with_the_first_answers(bus: Bus) -> None:
    never = asyncio.Event()
    async with some_nodes(bus, "a", "b", "c") as (a, b, c):
        b.on("x", lambda: 1)
        c.on("x", lambda: never.wait())
        replies = await a.gather("x", include_self=False, timeout=60, expect=1)
        assert (dict(replies), replies.missing, replies.complete) == ({"b": 1}, (), True)
        replies = await a.gather("x", include_self=False, timeout=1, expect=3)
        assert (dict(replies), replies.complete) == ({"b": 1}, False)
        never.set()


async def test_a_node_that_answers_twice_counts_once(bus: Bus) -> None:
    async with some_nodes(bus, "a", "b") as (a, b), haunted(bus) as ghost:
        await wait_until(lambda: "ghost" in a.nodes)
        answer = asyncio.Event()

        @b.on("x")
        async def slow() -> str:
            await answer.wait()
            return "b"

        for turn, options in enumerate(({}, {"expect": 2}), 1):
            ghost.requests.clear()
            answer.clear()
            asking = asyncio.create_task(a.gather("x", include_self=False, timeout=60, **options))  # type: ignore[arg-type]
            await wait_until(lambda: ghost.requests)
            asker = ghost.requests[0].asker
            asker.answer("first")
            asker.answer("second")
            asker.refuse(EventError("third"))
            ghost.say(ghost.channels.nodes, ghost.beat_of(connections=turn))  # what was said before is heard before it
            await wait_until(lambda: a.nodes["ghost"].connections == turn)  # noqa: B023 - it is called here
            assert not asking.done()
            answer.set()
            replies = await asking
            assert (dict(replies), replies.errors) == ({"ghost": "first", "b": "b"}, {})


async def test_an_answer_of_somebody_who_was_not_asked_does_not_count(bus: Bus) -> None:
    async with some_nodes(bus, "a", "b") as (a, b), haunted(bus) as ghost:
        await wait_until(lambda: "ghost" in a.nodes)
        b.on("x", lambda: "not asked")
        asking = asyncio.create_task(a.gather("x", to="ghost", timeout=60))
        await wait_until(lambda: ghost.requests)
        for call_id in ("1", "2", "3"):
            for sender in ("b", "stranger", "a"):
                ghost.answer_as(sender, a.incarnation, call_id, "forged")
        ghost.requests[0].asker.answer("mine")
        assert dict(await asking) == {"ghost": "mine"}


async def test_late_answers_are_for_nobody(bus: Bus) -> None:
    async with some_nodes(bus, "a") as (a,), haunted(bus) as ghost:
        await wait_until(lambda: "ghost" in a.nodes)
        assert (await a.gather("x", to="ghost", timeout=0.05)).missing == ("ghost",)
        await wait_until(lambda: ghost.requests)
        ghost.requests[0].asker.answer("late")
        a.on("x", lambda: "in time")
        assert dict(await a.gather("x", to="a")) == {"a": "in time"}
        assert a.refused == 0


async def test_a_node_that_dies_while_asked_is_missing_before_the_timeout(bus: Bus) -> None:
    async with some_nodes(bus, "a", "b") as (a, b), haunted(bus) as ghost:
        b.on("x", lambda: 1)
        await wait_until(lambda: "ghost" in a.nodes)
        loop = asyncio.get_running_loop()
        began = loop.time()
        call = asyncio.create_task(a.call("ghost", "x", timeout=60))
        stream = a.stream("x", include_self=False, timeout=60)
        replies = await a.gather("x", include_self=False, timeout=60)
        assert (dict(replies), replies.missing) == ({"b": 1}, ("ghost",))
        assert [reply.sender async for reply in stream] == ["b"]
        assert stream.missing == ("ghost",)
        with pytest.raises(NodeGone):
            await call
        assert loop.time() - began < FOUND_OUT
        assert len(ghost.requests) == 3


async def test_a_node_that_leaves_while_asked_is_missing_at_once(bus: Bus) -> None:
    async with some_nodes(bus, "a") as (a,), haunted(bus) as ghost:
        await wait_until(lambda: "ghost" in a.nodes)
        asking = asyncio.create_task(a.gather("x", include_self=False, timeout=60))
        await wait_until(lambda: ghost.requests)
        ghost.say_goodbye()
        assert (await asyncio.wait_for(asking, 1)).missing == ("ghost",)


async def test_a_node_that_comes_while_others_are_asked_is_not_waited_for(bus: Bus) -> None:
    async with some_nodes(bus, "a") as (a,), haunted(bus) as ghost:
        await wait_until(lambda: "ghost" in a.nodes)
        asking = asyncio.create_task(a.gather("x", include_self=False, timeout=60))
        await wait_until(lambda: ghost.requests)
        async with some_nodes(bus, "late"):
            await wait_until(lambda: "late" in a.nodes)
        ghost.requests[0].asker.answer(1)
        assert dict(await asking) == {"ghost": 1}


async def test_many_gathers_at_once(bus: Bus) -> None:
    async with some_nodes(bus, "a", "b", "c") as nodes:
        for node in nodes:
            node.on("x", lambda sender, data: data)
        replies = await asyncio.gather(*(node.gather("x", number) for node in nodes for number in range(100)))
        assert [dict(each) for each in replies] == [dict.fromkeys("abc", number) for number in range(100)] * 3


async def test_data_that_cannot_be_sent_leaves_nothing_waiting(bus: Bus) -> None:
    async with some_nodes(bus, "a") as (a,):
        heard = Heard()
        a.on("x", heard)
        with pytest.raises(InvalidPayload):
            await a.gather("x", object())
        assert heard.calls == []


async def test_stopping_ends_what_is_asked(bus: Bus) -> None:
    async with haunted(bus) as ghost:
        async with some_nodes(bus, "a") as (a,):
            ghost.native.announce(ghost.beat_of())
            await wait_until(lambda: "ghost" in a.nodes)
            asking = asyncio.create_task(a.gather("x", to="ghost", timeout=60))
            stream = a.stream("x", to="ghost", timeout=60)
            await wait_until(lambda: len(ghost.requests) == 2)
        assert (await asking).missing == ("ghost",)
        assert [reply async for reply in stream] == []
        assert stream.missing == ("ghost",)
