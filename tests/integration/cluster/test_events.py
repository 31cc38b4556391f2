from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest

from crosswire import (
    CallTimeout,
    EventError,
    InvalidPayload,
    Node,
    NodeGone,
    NotConnected,
    Redis,
    UsageError,
)
from crosswire.cluster.interface import Bus
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.scripted_node import scripted_node
from tests.integration.cluster.support import (
    RecordingHandler,
    client,
    make_server,
    running,
    running_nodes,
    running_servers,
)
from tests.support.aio import wait_until
from tests.support.record_channels import record_channels

# Who gets an event that a sends: nodes a, b and server c.
TARGETS: list[tuple[dict[str, Any], str]] = [
    ({}, "abc"),
    ({"include_self": False}, "bc"),
    ({"to": "b"}, "b"),
    ({"to": ["c", "b", "c"]}, "bc"),
    ({"to": ["a", "b"]}, "ab"),
    ({"to": ["a", "b"], "include_self": False}, "b"),
    ({"to": "a"}, "a"),
    ({"to": "a", "include_self": False}, ""),
    ({"to": ["nobody", "c"]}, "c"),
    ({"to": []}, ""),
]


class Point(msgspec.Struct):
    x: int


async def test_recipients_of_an_event(bus: Bus) -> None:
    server = make_server("c", bus)
    a, b = Node("a", bus=bus), Node("b", bus=bus)
    got: list[str] = []
    for node in (a, b, server.cluster):

        def note(sender: str, data: Any, name: str = node.name) -> None:
            assert (sender, data) == ("a", {"n": 1})
            got.append(name)

        node.on("x", note)
    ended = RecordingHandler()
    async with running(a, b, server):
        for node in (a, b, server.cluster):
            node.on("end", ended)
        for options, expected in TARGETS:
            got.clear()
            ended.calls.clear()
            assert a.send("x", {"n": 1}, **options) is None  # type: ignore[func-returns-value]
            # Events for one node come over its own channel and over everybody's: both have been heard after these.
            a.send("end")
            a.send("end", to=["b", "c"])
            await wait_until(lambda: len(ended.calls) == 5)
            assert "".join(sorted(got)) == expected, options


async def test_a_call_is_answered_from_node_to_node(bus: Bus) -> None:
    server = make_server("c", bus)
    node = Node("a", bus=bus)
    server.cluster.on("double", lambda sender, data: [sender, data * 2])

    @node.on("later")
    async def later(sender: str, data: Point) -> Point:
        await asyncio.sleep(0)
        return Point(data.x + 1)

    async with running(node, server):
        assert await node.call("c", "double", "ab") == ["a", "abab"]
        assert await server.cluster.call("a", "later", Point(1)) == {"x": 2}
        assert await server.cluster.call("c", "double", 4) == ["c", 8]  # itself
        answers = await asyncio.gather(*(node.call("c", "double", number) for number in range(500)))
        assert answers == [["a", number * 2] for number in range(500)]


async def test_arguments_and_return_values_of_a_handler(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b") as (a, b):
        b.on("nothing", lambda: None)
        b.on("sender", lambda sender: sender)
        b.once("once", lambda: 1)
        assert await a.call("b", "nothing", "data") is None
        assert await a.call("b", "sender") == "a"
        assert await a.call("b", "once") == 1
        with pytest.raises(EventError, match="NO_HANDLER"):
            await a.call("b", "once")
        b.off("sender")
        with pytest.raises(EventError, match="NO_HANDLER"):
            await a.call("b", "sender")


async def test_an_error_reaches_the_caller_with_the_name_of_the_node(bus: Bus) -> None:
    def fails() -> None:
        raise RuntimeError("secret")

    def refuses() -> None:
        raise EventError("full", "no more room")

    async with running_nodes(bus, "a", "b") as (a, b):
        for node in (a, b):
            node.on("fails", fails)
            node.on("refuses", refuses)
            node.on("typed", lambda sender, data: data.x)
            node.on("point", _takes_a_point)
            node.on("odd", lambda: cast(Any, object()))
        expected = {
            "fails": "HANDLER_ERROR",
            "refuses": "full",
            "none": "NO_HANDLER",
            "point": "INVALID_PAYLOAD",
            "odd": "HANDLER_ERROR",
        }
        for name in ("a", "b"):
            for event, code in expected.items():
                with pytest.raises(EventError) as caught:
                    await a.call(name, event, "no point")
                assert (caught.value.code, caught.value.sender) == (code, name)
                assert "secret" not in str(caught.value)


async def test_a_refusal_that_can_not_be_sent_spoils_no_other_answer(bus: Bus) -> None:
    def refuses_oddly() -> None:
        raise EventError("full", "\ud800")

    async with running_nodes(bus, "a", "b") as (a, b):
        b.on("odd", refuses_oddly)
        b.on("x", lambda: "here")
        asked = [a.call("b", event, timeout=2) for event in ("x", "odd", "x")]
        first, odd, last = await asyncio.gather(*asked, return_exceptions=True)
        assert (first, last) == ("here", "here")
        assert isinstance(odd, EventError)
        assert (odd.code, odd.sender) == ("HANDLER_ERROR", "b")


def _takes_a_point(sender: str, data: Point) -> int:
    return data.x


async def test_a_call_to_an_unknown_node_fails_at_once(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,):
        with pytest.raises(NodeGone) as caught:
            await asyncio.wait_for(a.call("nobody", "x", timeout=60), 1)
        assert caught.value.name == "nobody"


async def test_a_call_that_is_not_answered_times_out(bus: Bus) -> None:
    never = asyncio.Event()
    async with running_nodes(bus, "a", "b") as (a, b):
        b.on("hang", lambda: never.wait())
        with pytest.raises(CallTimeout, match="'b' did not answer 'hang' within"):
            await a.call("b", "hang", timeout=0.05)
        never.set()


async def test_a_call_fails_at_once_when_the_node_leaves(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,), scripted_node(bus) as scripted:
        await wait_until(lambda: "scripted" in a.nodes)
        call = asyncio.create_task(a.call("scripted", "x", timeout=60))
        await wait_until(lambda: scripted.requests)
        scripted.say_goodbye()
        with pytest.raises(NodeGone):
            await asyncio.wait_for(call, 1)


async def test_answers_go_to_the_caller_only(redis_bus: Redis, redis_process: RedisProcess) -> None:
    async with (
        running_nodes(redis_bus, "a", "b", "c") as (a, b, _),
        record_channels(redis_process.port, f"{redis_bus.prefix}*") as heard,
    ):
        b.on("x", lambda: "the answer")
        assert await a.call("b", "x", "the question") == "the answer"
        await wait_until(lambda: any(b"answer" in body for _, body in heard))  # it may hear of it later than a
        told = [(channel.removeprefix(redis_bus.prefix), body) for channel, body in heard]
        assert [channel for channel, body in told if b"question" in body] == ["n:b"]
        assert [channel for channel, body in told if b"answer" in body] == [f"i:{a.incarnation}"]


async def test_an_answer_of_another_node_is_ignored(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b") as (a, _), scripted_node(bus) as scripted:
        await wait_until(lambda: "scripted" in a.nodes)
        call = asyncio.create_task(a.call("scripted", "x"))
        await wait_until(lambda: scripted.requests)
        (request,) = scripted.requests
        for call_id in ("1", "2", "3"):
            scripted.answer_as("b", a.incarnation, call_id, "forged")
        request.asker.answer("mine")
        request.asker.answer("mine, again")
        assert await call == "mine"


async def test_local_handlers_run_in_the_next_turn_and_without_redis(
    redis_bus: Redis, redis_process: RedisProcess
) -> None:
    heard = RecordingHandler(answer="here")
    async with running_nodes(redis_bus, "a") as (a,):
        a.on("x", heard)
        redis_process.pause()
        try:
            a.send("x", 1)
            a.send("x", 2, to="a")
            assert heard.calls == []  # never within the call
            await asyncio.sleep(0)
            assert heard.calls == [("a", 1), ("a", 2)]
            assert await asyncio.wait_for(a.call("a", "x"), 0.5) == "here"
            assert dict(await asyncio.wait_for(a.gather("x", to="a"), 0.5)) == {"a": "here"}
        finally:
            redis_process.resume()


async def test_a_worker_reaches_users_and_rooms(bus: Bus) -> None:
    worker = Node("worker", bus=bus)
    async with running_servers(bus, "a", "b") as (a, b), running(worker), client(a, "1") as peer:
        await peer.call("join", ["chat", "r"])

        @worker.on("resize")
        def resize(sender: str, data: dict[str, Any]) -> dict[str, bool]:
            worker.user(data["user"]).send("progress", 10)
            worker.room("chat", "r").send("resized", sender)
            return {"ok": True}

        assert await b.cluster.call("worker", "resize", {"user": "1"}) == {"ok": True}
        assert (await peer.receive("progress")).data == 10
        assert (await peer.receive("resized")).data == "b"


MISUSE: list[Callable[[Node], Any]] = [
    lambda node: node.send(""),
    lambda node: node.send("$beat"),
    lambda node: node.send("\ud800"),
    lambda node: node.send("x", to=""),
    lambda node: node.send("x", to="\ud800"),
    lambda node: node.publish("\ud800"),
    lambda node: node.user("\ud800"),
    lambda node: node.send("x", to=[5]),  # type: ignore[list-item]
    lambda node: node.stream("x", timeout=0),
    lambda node: node.stream("x", expect=0),
    lambda node: node.stream("x", expect=True),
]
AWAITED_MISUSE: list[Callable[[Node], Any]] = [
    lambda node: node.call("", "x"),
    lambda node: node.call("\ud800", "x"),
    lambda node: node.subscribe("\ud800", RecordingHandler()),
    lambda node: node.call("b", ""),
    lambda node: node.call("b", "$x"),
    lambda node: node.call("b", "x", timeout=-1),
    lambda node: node.gather("x", expect=-1),
    lambda node: node.gather("", to="b"),
]


async def test_misuse_raises_where_it_happens(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,):
        for use in MISUSE:
            with pytest.raises(UsageError):
                use(a)
        for use in AWAITED_MISUSE:
            with pytest.raises(UsageError):
                await use(a)
        with pytest.raises(UsageError):
            a.on("$x", RecordingHandler())
        for work in (lambda: a.send("x", object()), lambda: a.stream("x", object()), lambda: a.send("x", 2**65)):
            with pytest.raises(InvalidPayload):
                work()
        with pytest.raises(InvalidPayload):
            await a.call("a", "x", object())


async def test_a_node_that_does_not_run_raises(bus: Bus) -> None:
    node = Node("a", bus=bus)
    node.on("x", RecordingHandler())
    for work in (lambda: node.send("x"), lambda: node.nodes, lambda: node.stream("x"), lambda: node.publish("x")):
        with pytest.raises(NotConnected, match="'a' has not been started"):
            work()
    for waiting in (
        lambda: node.call("a", "x"),
        lambda: node.gather("x"),
        lambda: node.subscribe("x", RecordingHandler()),
    ):
        with pytest.raises(NotConnected):
            await waiting()
    await node.stop()


async def test_an_answer_that_does_not_fit_its_annotation_is_a_failure(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong() -> int:
        return "5"  # type: ignore[return-value] # pyright: ignore[reportReturnType]

    async def wrong_later() -> dict[str, int]:
        return {"a": "b"}  # type: ignore[dict-item] # pyright: ignore[reportReturnType]

    async with running_nodes(bus, "a", "b") as (a, b):
        b.on("wrong", wrong)
        b.on("wrong later", wrong_later)
        for event in ("wrong", "wrong later"):
            with pytest.raises(EventError) as refused:
                await a.call("b", event)
            assert (refused.value.code, refused.value.sender) == ("HANDLER_ERROR", "b")
            assert f"a handler of the nodes' event '{event}' failed" in caplog.text
