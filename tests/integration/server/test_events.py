from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from crosswire import Socket, UsageError
from crosswire.errors import InvalidPayload
from tests.integration.server.support import HookRecorder, connect, make_server

ORDINARY = [
    "connection",
    "close",
    "open",
    "error",
    "message",
    "disconnect",
    "on_connect",
    "on_disconnect",
    "__proto__",
    "__class__",
    "__init__",
    "constructor",
    "toString",
    "hasOwnProperty",
    " ",
    "a$",
    "é漢🎉",
    "n" * 256,
]


async def test_handlers_run_in_the_order_they_were_added() -> None:
    server, calls = make_server(), list[str]()

    @server.on("say")
    def first(socket: Socket, data: Any) -> None:
        calls.append(f"first {data}")

    server.on("say", lambda socket, data: calls.append(f"second {data}"))
    server.on("say", lambda: calls.append("third"))
    async with server, connect(server) as peer:
        assert await peer.call("say", 1) is None
        assert calls == ["first 1", "second 1", "third"]


async def test_a_handler_takes_socket_and_data_or_less() -> None:
    server, got = make_server(), list[tuple[Any, ...]]()
    server.on("none", lambda: got.append(()))
    server.on("one", lambda socket: got.append((socket.user,)))
    server.on("two", lambda socket, data: got.append((socket.user, data)))
    server.on("any", lambda *arguments: got.append((arguments[0].user, arguments[1])))
    async with server, connect(server, "7") as peer:
        for event in ("none", "one", "two", "any"):
            await peer.call(event, [1])
        assert got == [(), ("7",), ("7", [1]), ("7", [1])]


async def test_once_is_called_for_one_event_only() -> None:
    server, calls = make_server(), list[str]()
    server.once("say", lambda: calls.append("once"))
    server.on("say", lambda: calls.append("on, once"), once=True)
    server.on("say", lambda: calls.append("on"))

    @server.once("say", tag="t")
    def decorated() -> None:
        calls.append("decorated")

    async with server, connect(server) as peer:
        await peer.send("say")
        await peer.send("say")
        await peer.rest()
        assert calls == ["once", "on, once", "on", "decorated", "on"]


class Known(msgspec.Struct):
    x: int

    def __post_init__(self) -> None:
        raise KeyError(self.x)


async def test_a_handler_whose_type_raises_an_error_has_failed() -> None:
    server = make_server()
    recorder = HookRecorder(server)

    @server.once("say")
    def say(socket: Socket, data: Known) -> None:
        raise AssertionError("it has no data")

    async with server, connect(server) as peer:
        assert (await peer.refused("say", {"x": 1}))[0] == "HANDLER_ERROR"
        assert [type(error) for error in recorder.errors] == [KeyError]
        assert (await peer.refused("say", {"x": 1}))[0] == "NO_HANDLER"


async def test_calls_whose_type_raises_an_error_are_told_and_the_connection_stays() -> None:
    server = make_server()
    async with server, connect(server) as peer:
        (socket,) = server.sockets
        call = asyncio.create_task(socket.call("ask", type=Known))
        gather = asyncio.create_task(server.everyone.gather("ask", type=Known))
        for _ in range(2):
            asked = await peer.receive()
            await peer.send_text(json.dumps({"callId": asked["callId"], "payload": {"x": 1}}))
        with pytest.raises(InvalidPayload, match=r"raised KeyError$"):
            await call
        (error,) = (await gather).errors.values()
        assert (error.code, error.message) == ("INVALID_PAYLOAD", "the type of the answer raised KeyError")
        await peer.rest()


async def test_a_handler_added_with_once_is_removed_before_its_call() -> None:
    server, calls = make_server(), list[str]()

    @server.once("say")
    async def slow() -> str:
        calls.append("slow")
        await asyncio.Event().wait()
        return "never"

    async with server, connect(server) as peer:
        await peer.send("say", callbackId="a")
        await peer.rest()
        assert await peer.refused("say") == ("NO_HANDLER", "the server has no handler for this event")
        assert calls == ["slow"]


async def test_off_by_handler_by_tag_and_all() -> None:
    server, calls = make_server(), list[str]()

    def handler() -> None:
        calls.append("handler")

    server.on("say", handler)
    server.on("say", lambda: calls.append("tag a"), tag="a")
    server.on("say", lambda: calls.append("tag 7"), tag=7)
    server.on("say", lambda: calls.append("plain"))
    server.on("other", lambda: calls.append("other"), tag="a")
    async with server, connect(server) as peer:
        server.off("say", handler)
        await peer.call("say")
        server.off("say", "a")
        await peer.call("say")
        server.off("say", 7)
        await peer.call("say")
        server.off("say", "nobody's tag")
        await peer.call("say")
        server.off("say")
        assert (await peer.refused("say"))[0] == "NO_HANDLER"
        await peer.call("other")
    assert calls == ["tag a", "tag 7", "plain", "tag 7", "plain", "plain", "plain", "other"]


async def test_adding_and_removing_while_an_event_is_delivered_counts_from_the_next() -> None:
    server, calls = make_server(), list[str]()

    def late() -> None:
        calls.append("late")

    @server.on("say")
    def first() -> None:
        calls.append("first")
        server.on("say", late)
        server.off("say", second)

    @server.on("say")
    def second() -> None:
        calls.append("second")

    async with server, connect(server) as peer:
        await peer.call("say")
        assert calls == ["first", "second"]
        server.off("say", first)
        await peer.call("say")
        assert calls == ["first", "second", "late"]


async def test_several_handlers_wait_for_each_other() -> None:
    server, calls = make_server(), list[str]()
    go = asyncio.Event()

    @server.on("say")
    async def first() -> None:
        calls.append("first begins")
        await go.wait()
        calls.append("first ends")

    server.on("say", lambda: calls.append("second"))

    @server.on("say")
    async def third() -> None:
        calls.append("third")

    async with server, connect(server) as peer:
        await peer.send("say", callbackId="x")
        await peer.rest()
        assert calls == ["first begins"]
        go.set()
        assert await peer.receive() == {"payload": None, "callbackId": "x"}
        assert calls == ["first begins", "first ends", "second", "third"]


async def test_an_asynchronous_handler_does_not_block_others() -> None:
    server, go = make_server(), asyncio.Event()

    @server.on("slow")
    async def slow(socket: Socket, data: Any) -> Any:
        await go.wait()
        return data

    server.on("quick", lambda socket, data: data)
    async with server, connect(server) as peer, connect(server) as other:
        await peer.send("slow", 1, callbackId="s1")
        await peer.send("slow", 2, callbackId="s2")
        assert await peer.call("quick", "mine") == "mine"
        assert await other.call("quick", "theirs") == "theirs"
        go.set()
        assert [await peer.receive(), await peer.receive()] == [
            {"payload": 1, "callbackId": "s1"},
            {"payload": 2, "callbackId": "s2"},
        ]


async def test_an_event_without_a_handler_is_ignored() -> None:
    server = make_server()
    recorder = HookRecorder(server)
    async with server, connect(server) as peer:
        await peer.send("nothing")
        assert await peer.rest() == []
        assert recorder.errors == []


@pytest.mark.parametrize("name", ORDINARY)
async def test_any_name_is_an_ordinary_event(name: str) -> None:
    server = make_server()
    recorder = HookRecorder(server)
    async with server, connect(server, "1") as peer:
        assert (await peer.refused(name, "unheard"))[0] == "NO_HANDLER"
        server.on(name, lambda socket, data: {"got": data, "of": socket.user})
        assert await peer.call(name, {"id": "2"}) == {"got": {"id": "2"}, "of": "1"}
        server.everyone.send(name, 3)
        assert await peer.event() == (name, 3)
        assert [socket.user for socket in server.sockets] == ["1"]
        assert recorder.closes == []
        assert len(recorder.connected) == 1


@pytest.mark.parametrize("name", ["", "$", "$hello"])
async def test_reserved_names_are_refused_where_they_are_used(name: str) -> None:
    server = make_server()
    recorder = HookRecorder(server)
    async with server, connect(server, "1") as peer:
        socket = recorder.connected[0]
        uses: list[Callable[[], object]] = [
            lambda: server.on(name, print),
            lambda: server.once(name, print),
            lambda: server.off(name),
            lambda: server.everyone.send(name),
            lambda: server.user("1").send(name),
            lambda: server.room("a", "b").send(name),
            lambda: socket.send(name),
        ]
        for use in uses:
            with pytest.raises(UsageError):
                use()
        for work in (socket.call(name), server.everyone.gather(name)):
            with pytest.raises(UsageError):
                await work
        assert (await peer.refused(name))[0] == "NO_HANDLER"
        assert await peer.rest() == []


@pytest.mark.parametrize("name", [None, 5, b"say", ["say"]])
def test_a_name_is_a_string(name: Any) -> None:
    server = make_server()
    with pytest.raises(UsageError):
        server.on(name, print)
    with pytest.raises(UsageError):
        server.everyone.send(name)
    with pytest.raises(UsageError):
        server.on("say", "no handler")  # type: ignore[call-overload] # pyright: ignore
