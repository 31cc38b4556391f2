from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crosswire import EventError, InvalidPayload, Node, Reply
from crosswire.cluster.interface import Bus
from tests.integration.cluster.scripted_node import scripted_node
from tests.integration.cluster.support import RecordingHandler, make_server, running, running_nodes
from tests.support.aio import wait_until

# Who answers what a asks: nodes a, b and server c; and who is missing.
TARGETS: list[tuple[dict[str, Any], str, tuple[str, ...]]] = [
    ({}, "abc", ()),
    ({"include_self": False}, "bc", ()),
    ({"to": ["c", "nobody"]}, "c", ("nobody",)),
    ({"to": []}, "", ()),
    ({"to": "a"}, "a", ()),
]


async def test_each_answer_comes_as_soon_as_it_is_there(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b", "c") as (a, b, c):
        turn = asyncio.Event()

        @c.on("x")
        async def slow() -> str:
            await turn.wait()
            return "slow"

        a.on("x", lambda: "own")
        b.on("x", lambda: "quick")
        stream = a.stream("x", timeout=60)
        first = {(await anext(stream)).data for _ in range(2)}
        assert first == {"own", "quick"}
        assert set(stream.missing) == {"c"}
        turn.set()
        assert await anext(stream) == Reply("c", "slow")
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert stream.missing == ()


async def test_a_refusal_is_an_item_like_any_other(bus: Bus) -> None:
    def refuse() -> None:
        raise EventError("full", "no room")

    async with running_nodes(bus, "a", "b") as (a, b):
        b.on("x", refuse)
        replies = {reply.sender: reply.error async for reply in a.stream("x")}
        assert {name: (error.code, error.sender) for name, error in replies.items() if error is not None} == {
            "a": ("NO_HANDLER", "a"),
            "b": ("full", "b"),
        }


async def test_a_stream_has_targets_and_ends(bus: Bus) -> None:
    server = make_server("c", bus)
    a, b = Node("a", bus=bus), Node("b", bus=bus)
    for node in (a, b, server.cluster):
        node.on("x", lambda sender, data: data)
    async with running(a, b, server):
        for options, expected, missing in TARGETS:
            stream = a.stream("x", 1, timeout=60, **options)
            assert "".join(sorted([reply.sender async for reply in stream])) == expected
            assert stream.missing == missing
        stream = server.cluster.stream("x", 1, expect=2, timeout=60)
        assert len([reply async for reply in stream]) == 2


async def test_a_silent_node_is_missing_at_the_end(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,), scripted_node(bus):
        a.on("x", lambda: 1)
        await wait_until(lambda: "scripted" in a.nodes)
        stream = a.stream("x", timeout=0.1)
        assert [reply async for reply in stream] == [Reply("a", 1)]
        assert stream.missing == ("scripted",)


async def test_leaving_the_loop_early_forgets_the_rest(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b") as (a, _), scripted_node(bus) as scripted:
        await wait_until(lambda: "scripted" in a.nodes)
        a.on("x", lambda: 1)
        async for reply in a.stream("x", to=["a", "scripted"], timeout=60):
            assert reply == Reply("a", 1)
            break
        await wait_until(lambda: scripted.requests)
        scripted.requests[0].asker.answer("late")
        assert await a.call("a", "x") == 1
        closed = a.stream("x", to="scripted", timeout=60)
        await closed.aclose()
        assert [reply async for reply in closed] == []


async def test_a_node_that_answers_twice_counts_once(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,), scripted_node(bus) as scripted:
        await wait_until(lambda: "scripted" in a.nodes)
        stream = a.stream("x", include_self=False, timeout=60)
        await wait_until(lambda: scripted.requests)
        for answer in ("first", "second"):
            scripted.requests[0].asker.answer(answer)
        assert [reply.data async for reply in stream] == ["first"]


async def test_replies_that_came_can_be_read_later(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b", "c") as nodes:
        heard = RecordingHandler(answer=1)
        for node in nodes:
            node.on("x", heard)
        stream = nodes[0].stream("x")
        await wait_until(lambda: len(heard.calls) == 3)
        await nodes[0].gather("x")
        assert {reply.sender async for reply in stream} == set("abc")


async def test_misuse_raises_where_it_happens(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,):
        with pytest.raises(InvalidPayload):
            a.stream("x", object())
