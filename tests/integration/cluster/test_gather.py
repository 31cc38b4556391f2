from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crosswire import EventError, InvalidPayload, Node, NodeGone
from crosswire.cluster.interface import Bus
from tests.integration.cluster.scripted_node import scripted_node
from tests.integration.cluster.support import DETECTION_TIMEOUT, RecordingHandler, make_server, running, running_nodes
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


async def test_nodes_that_a_gather_asks(bus: Bus) -> None:
    server = make_server("c", bus)
    a, b = Node("a", bus=bus), Node("b", bus=bus)
    for node in (a, b, server.cluster):
        node.on("x", lambda sender, data, name=node.name: [sender, data, name])
    async with running(a, b, server):
        for options, answering, missing in ASKED:
            replies = await a.gather("x", 1, timeout=60, **options)
            assert dict(replies) == {name: ["a", 1, name] for name in answering}, options
            assert (replies.missing, replies.errors, replies.complete) == (missing, {}, not missing)


async def test_errors_are_separate_and_none_is_an_answer(bus: Bus) -> None:
    def refuse() -> None:
        raise EventError("full", "no room")

    async with running_nodes(bus, "a", "b", "c") as (a, b, c):
        a.on("x", lambda: None)
        b.on("x", refuse)
        replies = await a.gather("x")
        assert (dict(replies), replies.missing, replies.complete) == ({"a": None}, (), True)
        assert {name: (error.code, error.sender) for name, error in replies.errors.items()} == {
            "b": ("full", "b"),
            "c": ("NO_HANDLER", "c"),
        }
        assert c.running


async def test_a_silent_node_is_missing_after_the_timeout(bus: Bus) -> None:
    never = asyncio.Event()
    async with running_nodes(bus, "a", "b", "c") as (a, b, c):
        b.on("x", lambda: 1)
        c.on("x", lambda: never.wait())
        replies = await a.gather("x", include_self=False, timeout=1)
        assert (dict(replies), replies.missing, replies.complete) == ({"b": 1}, ("c",), False)
        never.set()


async def test_expect_ends_with_the_first_answers(bus: Bus) -> None:
    never = asyncio.Event()
    async with running_nodes(bus, "a", "b", "c") as (a, b, c):
        b.on("x", lambda: 1)
        c.on("x", lambda: never.wait())
        replies = await a.gather("x", include_self=False, timeout=60, expect=1)
        assert (dict(replies), replies.missing, replies.complete) == ({"b": 1}, (), True)
        replies = await a.gather("x", include_self=False, timeout=1, expect=3)
        assert (dict(replies), replies.complete) == ({"b": 1}, False)
        never.set()


async def test_a_node_that_answers_twice_counts_once(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b") as (a, b), scripted_node(bus) as scripted:
        await wait_until(lambda: "scripted" in a.nodes)
        answer = asyncio.Event()

        @b.on("x")
        async def slow() -> str:
            await answer.wait()
            return "b"

        for turn, options in enumerate(({}, {"expect": 2}), 1):
            scripted.requests.clear()
            answer.clear()
            asking = asyncio.create_task(a.gather("x", include_self=False, timeout=60, **options))  # type: ignore[arg-type]
            await wait_until(lambda: scripted.requests)
            asker = scripted.requests[0].asker
            asker.answer("first")
            asker.answer("second")
            asker.refuse(EventError("third"))
            scripted.say(
                scripted.channels.nodes, scripted.beat_of(connections=turn)
            )  # messages sent before it arrive before it
            await wait_until(lambda: a.nodes["scripted"].connections == turn)  # noqa: B023 - it is called here
            assert not asking.done()
            answer.set()
            replies = await asking
            assert (dict(replies), replies.errors) == ({"scripted": "first", "b": "b"}, {})


async def test_an_answer_of_a_node_that_was_not_asked_does_not_count(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b") as (a, b), scripted_node(bus) as scripted:
        await wait_until(lambda: "scripted" in a.nodes)
        b.on("x", lambda: "not asked")
        asking = asyncio.create_task(a.gather("x", to="scripted", timeout=60))
        await wait_until(lambda: scripted.requests)
        for call_id in ("1", "2", "3"):
            for sender in ("b", "stranger", "a"):
                scripted.answer_as(sender, a.incarnation, call_id, "forged")
        scripted.requests[0].asker.answer("mine")
        assert dict(await asking) == {"scripted": "mine"}


async def test_late_answers_are_ignored(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,), scripted_node(bus) as scripted:
        await wait_until(lambda: "scripted" in a.nodes)
        assert (await a.gather("x", to="scripted", timeout=0.05)).missing == ("scripted",)
        await wait_until(lambda: scripted.requests)
        scripted.requests[0].asker.answer("late")
        a.on("x", lambda: "in time")
        assert dict(await a.gather("x", to="a")) == {"a": "in time"}
        assert a.refused == 0


async def test_a_node_that_dies_while_asked_is_missing_before_the_timeout(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b") as (a, b), scripted_node(bus) as scripted:
        b.on("x", lambda: 1)
        await wait_until(lambda: "scripted" in a.nodes)
        loop = asyncio.get_running_loop()
        began = loop.time()
        call = asyncio.create_task(a.call("scripted", "x", timeout=60))
        stream = a.stream("x", include_self=False, timeout=60)
        replies = await a.gather("x", include_self=False, timeout=60)
        assert (dict(replies), replies.missing) == ({"b": 1}, ("scripted",))
        assert [reply.sender async for reply in stream] == ["b"]
        assert stream.missing == ("scripted",)
        with pytest.raises(NodeGone):
            await call
        assert loop.time() - began < DETECTION_TIMEOUT
        assert len(scripted.requests) == 3


async def test_a_node_that_leaves_while_asked_is_missing_at_once(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,), scripted_node(bus) as scripted:
        await wait_until(lambda: "scripted" in a.nodes)
        asking = asyncio.create_task(a.gather("x", include_self=False, timeout=60))
        await wait_until(lambda: scripted.requests)
        scripted.say_goodbye()
        assert (await asyncio.wait_for(asking, 1)).missing == ("scripted",)


async def test_a_node_that_joins_during_a_gather_is_not_waited_for(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,), scripted_node(bus) as scripted:
        await wait_until(lambda: "scripted" in a.nodes)
        asking = asyncio.create_task(a.gather("x", include_self=False, timeout=60))
        await wait_until(lambda: scripted.requests)
        async with running_nodes(bus, "late"):
            await wait_until(lambda: "late" in a.nodes)
        scripted.requests[0].asker.answer(1)
        assert dict(await asking) == {"scripted": 1}


async def test_many_gathers_at_the_same_time(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b", "c") as nodes:
        for node in nodes:
            node.on("x", lambda sender, data: data)
        replies = await asyncio.gather(*(node.gather("x", number) for node in nodes for number in range(100)))
        assert [dict(each) for each in replies] == [dict.fromkeys("abc", number) for number in range(100)] * 3


async def test_data_that_cannot_be_sent_leaves_nothing_waiting(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,):
        heard = RecordingHandler()
        a.on("x", heard)
        with pytest.raises(InvalidPayload):
            await a.gather("x", object())
        assert heard.calls == []


async def test_a_stop_ends_all_gathers(bus: Bus) -> None:
    async with scripted_node(bus) as scripted:
        async with running_nodes(bus, "a") as (a,):
            scripted.native.announce(scripted.beat_of())
            await wait_until(lambda: "scripted" in a.nodes)
            asking = asyncio.create_task(a.gather("x", to="scripted", timeout=60))
            stream = a.stream("x", to="scripted", timeout=60)
            await wait_until(lambda: len(scripted.requests) == 2)
        assert (await asking).missing == ("scripted",)
        assert [reply async for reply in stream] == []
        assert stream.missing == ("scripted",)
