"""Right and wrong registrations of handlers, at runtime and for type checkers.

`make lint` has mypy and pyright check this file, and both complain of a `type: ignore` that is not needed: so each line
with one is refused by both, and each other accepted.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true, reportUnusedFunction=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypedDict, assert_type
from uuid import UUID

import msgspec
import pytest

from crosswire import (
    Client,
    Close,
    ConfigError,
    GapInfo,
    Handshake,
    LinkStatus,
    MemoryBus,
    Node,
    NodeInfo,
    Replies,
    Reply,
    Response,
    Server,
    Socket,
    SubscriptionFailure,
)


class JoinRoom(msgspec.Struct):
    room_id: str


@dataclass
class Point:
    x: int


class Named(TypedDict):
    name: str


class Pair(NamedTuple):
    one: int
    two: int


@pytest.fixture
def server() -> Server:
    return Server(port=0)


@pytest.fixture
def node() -> Node:
    return Node("worker", bus=MemoryBus())


@pytest.fixture
def client() -> Client:
    return Client("ws://127.0.0.1:1")


# What is right


def nothing() -> None: ...
async def nothing_later() -> None: ...
def of_socket(socket: Socket) -> str:
    return socket.user


def struct(socket: Socket, data: JoinRoom) -> Point:
    return Point(len(data.room_id))


async def typed_dict(socket: Socket, data: Named) -> Named:
    return data


def numbers(socket: Socket, data: list[int] | None) -> set[int]:
    return set(data or ())


def broad(socket: object, data: Any, more: int = 5, *, option: bool = False) -> Pair:
    return Pair(1, more)


def optional(socket: Socket, data: dict[str, Any]) -> dict[str, Any] | None:
    return data or None


class Chat:
    def __init__(self, server: Server) -> None:
        server.on("say", self.say)
        server.on("ask", self.ask)
        server.on_disconnect(self.left)

    def say(self, socket: Socket, data: JoinRoom) -> None: ...
    async def ask(self, socket: Socket) -> UUID:
        return UUID(int=0)

    async def left(self, socket: Socket) -> None: ...
    def __call__(self, socket: Socket, data: Point) -> float:
        return 1.5


def test_event_handlers_of_a_server(server: Server) -> None:
    server.on("1", nothing)
    server.on("2", nothing_later)
    server.on("3", of_socket)
    server.once("4", struct)
    server.on("5", typed_dict, once=True, tag="t")
    server.on("6", numbers)
    server.on("7", broad)
    server.on("8", optional)
    server.on("a", lambda socket, data: data)
    server.on("b", lambda socket: socket.user)
    server.on("c", lambda: [1, 2])
    server.on("d", Chat(server))
    server.on("e", partial(struct))
    server.on("f", print)

    @server.on("g")
    async def join(socket: Socket, data: JoinRoom) -> dict[str, int]:
        return {"members": 1}

    @server.once("h", tag=5)
    def leave(socket: Socket) -> None: ...

    calls: Callable[[Socket, JoinRoom], Any] = join  # it is still itself
    assert calls is join


def test_hooks_of_a_server(server: Server) -> None:
    events: list[str] = []

    @server.on_connect
    async def connected(socket: Socket) -> None: ...

    @server.on_disconnect
    def gone(socket: Socket, close: Close) -> None: ...

    @server.on_disconnect(once=True)
    def gone_once(socket: Socket) -> None: ...

    @server.on_message
    def heard(socket: Socket, raw: str | bytes) -> None: ...

    @server.on_error
    def failed(socket: Socket, exc: Exception) -> None: ...

    server.on_error(lambda socket, exc: events.append(str(exc)), once=True, tag="t")
    server.on_disconnect(lambda socket: events.append(socket.user))
    server.on_disconnect(lambda: events.append("gone"))
    server.on_pong(of_socket)
    server.on_heartbeat(nothing)
    server.on_start(nothing_later)
    server.on_stop(lambda: None)
    assert not asyncio.iscoroutinefunction(gone_once)


def test_nodes(node: Node) -> None:
    def resize(sender: str, data: JoinRoom) -> int:
        return 1

    async def hears(sender: str) -> None: ...

    node.on("1", resize)
    node.once("2", hears)
    node.on("3", nothing)
    node.on("4", lambda sender, data: data)
    server = Server(port=0)
    server.cluster.on("5", resize)

    @node.on("6")
    async def answer(sender: str, data: list[Point]) -> list[Point]:
        return data

    @node.on_join
    def joined(info: NodeInfo) -> None: ...

    @node.on_leave
    def left(info: NodeInfo, reason: str) -> None: ...

    @node.on_leave
    def left_briefly(info: NodeInfo) -> None: ...

    @node.on_gap
    def gap(info: GapInfo) -> None: ...

    @node.on_bus_health
    async def health(status: LinkStatus) -> None: ...

    @node.on_subscription_error
    def refused(failure: SubscriptionFailure) -> None: ...


def test_clients(client: Client) -> None:
    @client.on("1")
    def say(data: JoinRoom) -> str:
        return data.room_id

    @client.once("2")
    async def ask() -> Point:
        return Point(1)

    client.on("3", print)
    client.on("4", lambda data: data)

    @client.on_close
    def closed(close: Close) -> None: ...

    @client.on_error
    def failed(exc: BaseException) -> None: ...

    @client.on_message
    def heard(raw: str | bytes) -> None: ...

    @client.on_pong
    def pong(milliseconds: float) -> None: ...

    @client.on_reconnect
    def again(attempt: int, delay: float) -> None: ...

    @client.on_reconnect
    def again_soon(attempt: int) -> None: ...

    client.on_give_up(lambda limit: None)
    client.on_close(client.reconnect)
    client.on_open(nothing_later)


def test_authenticate() -> None:
    def user(handshake: Handshake) -> str:
        return handshake.path

    async def user_later(handshake: Handshake) -> str | None:
        return handshake.query.get("id")

    def nobody() -> None: ...
    def unknown(handshake: Handshake) -> Any: ...

    Server(port=0).authenticate(user)
    Server(port=0).authenticate(user_later)
    Server(port=0).authenticate(nobody)
    Server(port=0).authenticate(unknown)
    Server(port=0).authenticate(lambda handshake: handshake.query.get("id"))


def test_pages(server: Server) -> None:
    @server.get("/1")
    def page(request: Handshake) -> str:
        return request.path

    server.get("/2", lambda: b"")
    server.get("/3", lambda request: {"path": request.path})
    server.get("/4", lambda: Response(204))


# What is asked for


async def asks(node: Node, client: Client, socket: Socket) -> None:
    """Never called: type checkers see what each gives."""
    audience = node.everyone
    assert_type(await node.call("a", "x"), Any)
    assert_type(await node.call("a", "x", type=JoinRoom), JoinRoom)
    assert_type(await node.call("a", "x", type=int | None), int | None)
    assert_type(await client.call("x"), Any)
    assert_type(await client.call("x", type=list[Point], timeout=1), list[Point])
    assert_type(await socket.call("x", type=Named), Named)
    assert_type(await audience.gather("x"), Replies[Any])
    assert_type(await audience.gather("x", type=JoinRoom), Replies[JoinRoom])
    assert_type((await audience.gather("x", type=JoinRoom))["1"], JoinRoom)
    assert_type(await node.gather("x", type=Point), Replies[Point])
    async for reply in node.stream("x", type=Point):
        assert_type(reply, Reply[Point])
        assert_type(reply.data, Point)
    replies: Replies = await node.gather("x")  # without a type, an answer may be anything
    assert_type(replies["a"], Any)
    number: int = await socket.call("x")
    number = await socket.call("x", type=str)  # type: ignore[arg-type]
    await client.call("x", type=number)  # type: ignore[arg-type]


# What can't be right


def only_data(data: dict[str, Any]) -> None: ...
def only_struct(data: JoinRoom) -> None: ...
async def only_data_later(data: list[int]) -> None: ...
def swapped(data: dict[str, Any], socket: Socket) -> None: ...
def three(socket: Socket, data: Any, more: Any) -> None: ...
def by_keyword(socket: Socket, *, data: Any) -> None: ...
def of_two(one: Any, two: Any) -> None: ...
def of_number(number: int) -> None: ...


async def several(socket: Socket, data: Any) -> AsyncIterator[int]:
    yield 1


def several_now(socket: Socket) -> Iterator[int]:
    yield 1


BAD = pytest.raises(ConfigError)


def test_bad_event_handlers_of_a_server(server: Server) -> None:
    with BAD:
        server.on("x", only_data)  # type: ignore[type-var]
    with BAD:
        server.on("x", only_struct)  # type: ignore[type-var]
    with BAD:
        server.once("x", only_data_later)  # type: ignore[type-var]
    with BAD:
        server.on("x", swapped)  # type: ignore[type-var]
    with BAD:
        server.on("x", three, once=True)  # type: ignore[type-var]
    with BAD:
        server.on("x", by_keyword)  # type: ignore[type-var]
    with BAD:
        server.on("x", lambda one, two, three: None)  # type: ignore[type-var]
    with BAD:
        server.on("x", several)  # type: ignore[type-var]
    with BAD:
        server.on("x", several_now)  # type: ignore[type-var]
    with BAD:
        server.on("x", Chat.say)  # type: ignore[type-var]
    with BAD:
        server.on("x", JoinRoom)  # type: ignore[type-var]
    with BAD:
        server.on("x")(only_data)  # type: ignore[type-var]
    with BAD:

        @server.on("x")  # type: ignore[type-var]
        def one(data: Named) -> None: ...

    with BAD:

        @server.once("x")  # type: ignore[type-var]
        async def two(data: JoinRoom, socket: Socket) -> None: ...

    coroutine = nothing_later()
    with BAD:
        server.on("x", coroutine)  # type: ignore[call-overload]
    coroutine.close()


def test_a_method_in_a_class_body(server: Server) -> None:
    with BAD:

        class Plain:
            @server.on("x")  # type: ignore[type-var]
            def say(self, data: JoinRoom) -> None: ...

    with BAD:

        class Later:
            @server.once("x")  # type: ignore[type-var]
            async def say(self, socket: Socket, data: JoinRoom) -> None: ...


def test_bad_hooks_of_a_server(server: Server) -> None:
    with BAD:
        server.on_connect(of_two)  # type: ignore[arg-type]
    with BAD:
        server.on_connect(only_data)  # type: ignore[arg-type]
    with BAD:
        server.on_disconnect(three)  # type: ignore[arg-type]
    with BAD:
        server.on_disconnect(lambda one, two, three: None)  # type: ignore[arg-type, misc]
    with BAD:
        server.on_start(of_socket)  # type: ignore[arg-type]
    with BAD:
        server.on_pong(of_number)  # type: ignore[arg-type]
    with BAD:

        @server.on_disconnect  # type: ignore[arg-type]
        def gone(close: Close, socket: Socket) -> None: ...

    with BAD:

        @server.on_error(once=True)  # type: ignore[arg-type]
        def failed(exc: Exception) -> None: ...


def test_bad_handlers_of_nodes(node: Node) -> None:
    with BAD:
        node.on("x", only_struct)  # type: ignore[type-var]
    with BAD:
        node.on("x", of_socket)  # type: ignore[type-var]
    with BAD:
        node.once("x", three)  # type: ignore[type-var]
    with BAD:
        node.on("x", several)  # type: ignore[type-var]
    with BAD:
        node.on_join(of_two)  # type: ignore[arg-type]
    with BAD:
        node.on_leave(of_number)  # type: ignore[arg-type]
    with BAD:
        node.on_gap(of_number)  # type: ignore[arg-type]


def test_bad_subscribers(node: Node) -> None:
    async def main() -> None:
        async with node:
            with BAD:
                await node.subscribe("orders", only_data)  # type: ignore[type-var]
            with BAD:
                await node.subscribe("orders", three)  # type: ignore[type-var]

    asyncio.run(main())


def test_bad_handlers_of_clients(client: Client) -> None:
    with BAD:
        client.on("x", of_two)  # type: ignore[type-var]
    with BAD:
        client.on("x", struct)  # type: ignore[type-var]
    with BAD:
        client.once("x", three)  # type: ignore[type-var]
    with BAD:
        client.on_open(only_data)  # type: ignore[arg-type]
    with BAD:
        client.on_close(of_number)  # type: ignore[arg-type]
    with BAD:
        client.on_reconnect(three)  # type: ignore[arg-type]
    with BAD:
        client.on_message(of_number)  # type: ignore[arg-type]


def test_bad_authenticate() -> None:
    def number(handshake: Handshake) -> int:
        return 7

    async def number_later(handshake: Handshake) -> int | None:
        return 7

    def unique(handshake: Handshake) -> UUID:
        return UUID(int=0)

    def allowed(handshake: Handshake) -> bool:
        return True

    def entity(handshake: Handshake) -> Point:
        return Point(1)

    with BAD:
        Server(port=0).authenticate(number)  # type: ignore[type-var]
    with BAD:
        Server(port=0).authenticate(number_later)  # type: ignore[type-var]
    with BAD:
        Server(port=0).authenticate(unique)  # type: ignore[type-var]
    with BAD:
        Server(port=0).authenticate(allowed)  # type: ignore[type-var]
    with BAD:
        Server(port=0).authenticate(entity)  # type: ignore[type-var]
    with BAD:
        Server(port=0).authenticate(of_socket)  # type: ignore[type-var]
    with BAD:
        Server(port=0).authenticate(of_two)  # type: ignore[type-var]


def test_bad_pages(server: Server) -> None:
    async def later(request: Handshake) -> str:
        return ""

    with BAD:
        server.get("/x", later)  # type: ignore[type-var]
    with BAD:
        server.get("/x", of_two)  # type: ignore[type-var]
    with BAD:
        server.get("/x", of_socket)  # type: ignore[type-var]
