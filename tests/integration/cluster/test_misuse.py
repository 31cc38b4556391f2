"""Calls in the wrong place, or that fail half way, change nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosswire import EventError, InvalidPayload, Limits, MemoryBus, Node, NotConnected, Server, Socket, UsageError
from crosswire.cluster.interface import Bus
from crosswire.testing import connect
from tests.integration.cluster.support import RecordingHandler, client, connection_of, make_server, running
from tests.support import aio

Call = Callable[[Server, Node, Socket], Any]

SENDS: dict[str, Call] = {
    "everyone.send": lambda server, node, socket: server.everyone.send("x"),
    "everyone.send local": lambda server, node, socket: server.everyone.send("x", local=True),
    "user.send": lambda server, node, socket: server.user("1").send("x"),
    "absent user.send": lambda server, node, socket: server.user("nobody").send("x"),
    "users.send": lambda server, node, socket: server.users(["1", "2"]).send("x"),
    "room.send": lambda server, node, socket: server.room("r", "1").send("x"),
    "socket.send": lambda server, node, socket: socket.send("x"),
    "socket.send_raw": lambda server, node, socket: socket.send_raw("x"),
    "node.everyone.send": lambda server, node, socket: node.everyone.send("x"),
    "node.send": lambda server, node, socket: node.send("x"),
    "node.send to": lambda server, node, socket: node.send("x", to="a"),
    "node.publish": lambda server, node, socket: node.publish("x"),
}
"""Calls that work in any thread; so does ``socket.close``."""

CALLS: dict[str, Call] = {
    "everyone.count": lambda server, node, socket: server.everyone.count(),
    "user.gather": lambda server, node, socket: server.user("1").gather("x"),
    "user.close": lambda server, node, socket: server.user("1").close(),
    "room.add": lambda server, node, socket: server.room("r", "1").add("1"),
    "room.members": lambda server, node, socket: server.room("r", "1").members(),
    "socket.call": lambda server, node, socket: socket.call("x"),
    "socket.join": lambda server, node, socket: socket.join("r", "2"),
    "socket.leave": lambda server, node, socket: socket.leave("r", "1"),
    "socket.identify": lambda server, node, socket: socket.identify("2"),
    "socket.enter_background": lambda server, node, socket: socket.enter_background(),
    "socket.buffered": lambda server, node, socket: socket.buffered,
    "node.call": lambda server, node, socket: node.call("a", "x"),
    "node.gather": lambda server, node, socket: node.gather("x"),
    "node.stream": lambda server, node, socket: node.stream("x"),
    "node.subscribe": lambda server, node, socket: node.subscribe("x", RecordingHandler()),
    "node.unsubscribe": lambda server, node, socket: node.unsubscribe("x"),
}


def in_thread(call: Callable[[], Any], *, loop: bool) -> BaseException | None:
    """Call in a thread, with an event loop of its own or without any; await what has to be; return what was raised."""
    raised: list[BaseException] = []

    async def on_loop() -> None:
        result = call()
        if asyncio.iscoroutine(result):
            await result

    def work() -> None:
        try:
            if loop:
                asyncio.run(on_loop())
                return
            result = call()
            if asyncio.iscoroutine(result):
                result.send(None)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return raised[0] if raised else None


@pytest.mark.parametrize("loop", [False, True], ids=["no loop", "a loop of its own"])
async def test_calls_from_another_thread_are_refused(bus: Bus, loop: bool) -> None:
    server, node = make_server("a", bus), Node("n", bus=bus)
    async with running(server, node), client(server, "1") as one, client(server, "2") as two:
        await one.call("join", ["r", "1"])
        socket = server.socket_of("1")
        assert socket is not None
        for name, call in CALLS.items():
            server.everyone.send("before", name)  # what is held for this turn must not leave in another thread
            error = in_thread(lambda call=call: call(server, node, socket), loop=loop)  # type: ignore[misc]
            assert isinstance(error, UsageError), (name, error)
            assert "call_soon_threadsafe" in str(error)
            assert (socket.is_open, socket.user, socket.rooms) == (True, "1", {"r": {"1"}})
            server.room("r", "1").send("after", name)
            socket.send("own", name)
            for event in ("before", "after", "own"):
                assert (await one.receive()).event == event, name
            assert (await two.receive("before")).data == name
        node.everyone.send("late")
        assert (await two.receive()).event == "late"


async def test_the_advice_of_the_error_works(bus: Bus) -> None:
    async with running(server := make_server("a", bus)), client(server, "1") as one:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(lambda: loop.call_soon_threadsafe(server.everyone.send, "news"))
        assert (await one.receive()).event == "news"


def test_calls_without_a_running_loop_are_refused_too() -> None:
    server = make_server("a", MemoryBus())
    runner = asyncio.Runner()
    with runner:
        runner.run(server.start(listen=False))
        with pytest.raises(UsageError, match="no event loop runs"):
            server.cluster.send("x")

        async def goes_on() -> None:
            async with client(server, "1") as one:
                server.everyone.send("news")
                assert (await one.receive()).event == "news"
            await server.stop()

        runner.run(goes_on())


BEFORE = [name for name in SENDS | CALLS if not name.startswith("socket") and name != "node.unsubscribe"]


@pytest.mark.parametrize("name", BEFORE)
async def test_calls_before_the_start_and_after_the_stop_raise(name: str) -> None:
    bus = MemoryBus()

    async def use(server: Server, node: Node) -> None:
        result = (SENDS | CALLS)[name](server, node, None)  # type: ignore[arg-type]
        if asyncio.iscoroutine(result):
            await result

    async def refused(server: Server, node: Node) -> None:
        with pytest.raises(NotConnected, match="start"):
            await use(server, node)

    for server, node in ((make_server("a", bus), Node("n", bus=bus)), (Server("alone", port=0), Node("alone too"))):
        await refused(server, node)
        async with running(server), running(node):
            if name != "node.call":  # it asks a, which is none's name in the second round
                await use(server, node)
        await refused(server, node)


async def test_the_hooks_of_start_and_stop_may_send() -> None:
    bus = MemoryBus()
    first, second = make_server("a", bus), make_server("b", bus)
    second.on_start(lambda: second.everyone.send("b starts"))
    second.on_stop(lambda: second.everyone.send("b stops"))
    async with running(first), client(first, "1") as one:
        async with running(second):
            assert (await one.receive()).event == "b starts"
        assert (await one.receive()).event == "b stops"


GOOD = st.tuples(st.just("good"), st.sampled_from(["everyone", "user", "users", "room", "socket"]))
BAD = st.tuples(
    st.just("bad"), st.sampled_from(["thread", "payload", "event", "user id", "users", "exclude", "reason", "full"])
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(GOOD, BAD, st.tuples(st.just("turn"), st.just(""))), max_size=25))
async def test_valid_messages_between_failures_arrive_once_and_in_order(steps: list[tuple[str, str]]) -> None:
    server = make_server("a", MemoryBus(), limits=Limits(rooms=1))
    async with connect(server, "/?id=1") as one:
        socket = server.socket_of("1")
        assert socket is not None
        await socket.join("r", "1")
        expected = []
        for number, (kind, what) in enumerate(steps):
            if kind == "turn":
                await asyncio.sleep(0)
            elif kind == "good":
                expected.append(number)
                _right(server, socket, what, number)
            else:
                await _wrong(server, socket, what)
        server.everyone.send("end")
        assert [(await one.receive()).data for _ in expected] == expected
        assert (await one.receive()).event == "end"
        assert socket.rooms == {"r": {"1"}}


def _right(server: Server, socket: Socket, what: str, number: int) -> None:
    audiences = {
        "everyone": server.everyone,
        "user": server.user("1"),
        "users": server.users(["1", "nobody"]),
        "room": server.room("r", "1"),
    }
    (socket if what == "socket" else audiences[what]).send("x", number)


async def _wrong(server: Server, socket: Socket, what: str) -> None:
    if what == "thread":
        assert isinstance(in_thread(lambda: server.everyone.send("$x", "bad"), loop=False), UsageError)
        assert isinstance(in_thread(lambda: server.everyone.send("x", object()), loop=False), InvalidPayload)
    elif what == "payload":
        with pytest.raises(InvalidPayload):
            server.room("r", "1").send("x", object())
    elif what == "event":
        with pytest.raises(UsageError):
            socket.send("$x", "bad")
    elif what == "user id":
        with pytest.raises(UsageError):
            server.user(1)  # type: ignore[arg-type]
    elif what == "users":
        with pytest.raises(UsageError):
            server.users(["1", "", "2"]).send("x", "bad")
    elif what == "exclude":
        with pytest.raises(UsageError):
            server.everyone.send("x", "bad", exclude=["2", 3])  # type: ignore[list-item]
    elif what == "reason":
        with pytest.raises(UsageError):
            socket.close(1000, None)  # type: ignore[arg-type]
    else:
        with pytest.raises(EventError, match="ROOM_LIMIT"):
            await socket.join("r", "2")


async def test_a_handler_that_can_not_subscribe_is_not_kept(bus: Bus) -> None:
    async with running(node := Node("n", bus=bus)):
        kept, not_kept = RecordingHandler(), RecordingHandler()
        await node.subscribe("c", kept)

        async def fails(*_args: object) -> None:
            raise ConnectionError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connection_of(node).port, "wait_listening", fails)
            for _ in range(2):
                with pytest.raises(ConnectionError):
                    await node.subscribe("c", not_kept)
            with pytest.raises(ConnectionError):
                await node.subscribe("c", kept)  # a second time, which is undone: the first one stays
        node.publish("c", 1)
        await aio.wait_until(lambda: len(kept.calls) == 1)
        assert not_kept.calls == []


async def test_a_socket_whose_join_failed_is_not_in_the_room(bus: Bus) -> None:
    async with running(server := make_server("a", bus)), client(server, "1"):
        socket = server.socket_of("1")
        assert socket is not None
        await socket.join("r", "old")
        with pytest.MonkeyPatch.context() as patch:

            async def fails(*_args: object) -> None:
                await asyncio.sleep(0)
                raise ConnectionError

            patch.setattr("crosswire.server.subscriptions.Subscriptions.room_ready", fails)
            with pytest.raises(ConnectionError):
                await socket.join("r", "new")
            with pytest.raises(ConnectionError):
                await socket.join("r", "old")
            with pytest.raises(ConnectionError):
                await server.room("r", "other").add("1")
        assert socket.rooms == {"r": {"old"}}
        assert server.local_rooms.ids("r") == {"old"}


class Typed(msgspec.Struct):
    number: int


@pytest.mark.parametrize("waits", [False, True])
async def test_an_ignored_event_does_not_use_up_a_handler_added_with_once(bus: Bus, waits: bool) -> None:
    got: list[int] = []

    async def later(_who: Any, data: Typed) -> None:
        await asyncio.sleep(0)
        got.append(data.number)

    def at_once(_who: Any, data: Typed) -> None:
        got.append(data.number)

    server, node = make_server("a", bus), Node("n", bus=bus)
    handler: Any = later if waits else at_once
    server.once("x", handler)
    server.once("y", handler)
    server.on("y", lambda: "answered")
    node.once("x", handler)
    async with running(server, node), client(server, "1") as one:
        asks: tuple[Callable[[Any], Awaitable[Any]], ...] = (
            lambda data: one.call("x", data),
            lambda data: server.cluster.call("n", "x", data),
        )
        for ask in asks:
            for _ in range(2):
                with pytest.raises(EventError, match="INVALID_PAYLOAD"):
                    await ask({"number": "none"})
            await ask({"number": 5})
            assert got == [5]
            got.clear()
            with pytest.raises(EventError, match="NO_HANDLER"):
                await ask({"number": 6})
        with pytest.raises(EventError, match="INVALID_PAYLOAD"):
            await one.call("y", "none")
        assert await one.call("y", {"number": 7}) == "answered"
        await one.call("y", {"number": 8})
        assert got == [7]


async def test_a_dropped_event_does_not_use_up_a_handler_added_with_once() -> None:
    go, got = asyncio.Event(), list[str]()

    async def once(_socket: Socket, data: str) -> None:
        got.append(data)

    server = make_server("a", MemoryBus(), limits=Limits(handlers=1))
    server.on("busy", go.wait)
    server.once("x", once)
    async with running(server), client(server, "1") as one:
        one.send("busy")
        with pytest.raises(EventError, match="BUSY"):
            await one.call("x", "first")
        go.set()
        await one.call("hello")
        await one.call("x", "second")
    assert got == ["second"]
