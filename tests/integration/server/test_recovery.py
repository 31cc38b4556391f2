"""What goes over the wire to clients of rooms that keep history: in which order, in which format, to which version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
import websockets
from websockets.typing import Subprotocol

from crosswire import EventError, Limits, Server, Socket
from crosswire.core.messages import MSGPACK_SUBPROTOCOL
from crosswire.testing import asgi_client
from crosswire.testing.asgi_client import AsgiClient
from tests.integration.server.support import Peer, connect, make_server, raw_stream, upgrade_request
from tests.support.aio import wait_until
from tests.support.scrapes import scrape
from tests.support.uvicorn_server import running_uvicorn


def history_server(**options: Any) -> Server:
    """A server whose rooms of the namespace "chat" keep 100 messages, with events by which clients join and leave."""
    server = make_server(**{"duplicates": "allow", **options})
    server.history("chat", size=100, ttl=300)

    @server.on("join")
    async def join(socket: Socket, data: dict[str, Any]) -> str:
        await socket.join(data.get("namespace", "chat"), data["id"], rewind=data.get("rewind", 0))
        return "joined"

    @server.on("leave")
    async def leave(socket: Socket, id: str) -> None:
        await socket.leave("chat", id)

    return server


def position_of(message: Any) -> str:
    """Return the position that a message tells: of an event, or of ``$room``."""
    return str(message["payload"]["at"] if message["event"] == "$room" else message["at"])


def next_position(position: str, number: int = 1) -> str:
    epoch, _, offset = position.partition(".")
    return f"{epoch}.{int(offset) + number}"


def room_message(at: str | None, recovered: bool | None, reason: str | None = None, id: str = "1") -> dict[str, Any]:
    return {"event": "$room", "payload": {"room": ["chat", id], "at": at, "recovered": recovered, "reason": reason}}


LEFT = {"event": "$left", "payload": {"room": ["chat", "1"]}}


async def join(peer: Peer, **data: Any) -> list[Any]:
    """Join a room, and return what came before the answer."""
    await peer.send("join", {"id": "1", **data}, callbackId="join")
    before = []
    while (message := await peer.receive()).get("callbackId") != "join":
        before.append(message)
    assert message == {"payload": "joined", "callbackId": "join"}
    return before


@asynccontextmanager
async def ready(server: Server, query: str = "_cw=2", user: str = "1", **options: Any) -> AsyncIterator[Peer]:
    """Connect a client, and wait until it is let in."""
    async with connect(server, path=f"/?id={user}&{query}", **options) as peer:
        if query:
            assert await peer.receive() == {"event": "$ready", "payload": None}
        yield peer


async def say(server: Server, *texts: str, id: str = "1", **options: Any) -> None:
    """Send messages to the room, and wait until they are kept."""
    room = server.room("chat", id)
    for text in texts:
        room.send("said", text, **options)
    await wait_until_kept(server, texts[-1], id)


async def wait_until_kept(server: Server, text: str, id: str = "1") -> None:
    async def is_kept() -> bool:
        messages = (await server.room("chat", id).history(limit=1)).messages
        return bool(messages) and messages[-1].data == text

    while not await is_kept():  # noqa: ASYNC110 - the log has no event
        await asyncio.sleep(0.002)


async def test_the_bytes_of_a_message_are_the_same_live_and_recovered() -> None:
    async with history_server() as server, raw_stream(server) as one, AsyncExitStack() as stack:
        await one.request(upgrade_request("/?id=1&_cw=2"))
        one.send_event("join", {"id": "1"})
        frames = [await one.frame() for _ in range(2)]
        assert [json.loads(payload)["event"] for _, payload in frames] == ["$ready", "$room"]
        start = position_of(json.loads(frames[1][1]))
        assert frames[1][1] == (
            b'{"event":"$room","payload":{"room":["chat","1"],"at":"%b","recovered":null,"reason":null}}'
            % start.encode()
        )
        server.room("chat", "1").send("said", {"text": "grüße"})
        server.room("chat", "1").send("said", [])
        live = [await one.frame() for _ in range(2)]
        texts = ['{"event":"said","payload":{"text":"grüße"},"at":"%s"}', '{"event":"said","payload":[],"at":"%s"}']
        positions = [next_position(start, number) for number in (1, 2)]
        assert live == [(1, (text % at).encode()) for text, at in zip(texts, positions, strict=True)]
        two = await stack.enter_async_context(raw_stream(server))
        await two.request(upgrade_request(f"/?id=2&_cw=2&_cw_at={start}"))
        two.send_event("join", {"id": "1"})
        frames = [await two.frame() for _ in range(4)]
        assert frames[1] == (
            1,
            b'{"event":"$room","payload":{"room":["chat","1"],"at":"%b","recovered":true,"reason":null}}'
            % start.encode(),
        )
        assert frames[2:] == live


async def test_a_client_gets_what_it_missed_and_then_what_is_new() -> None:
    async with history_server() as server:
        async with ready(server) as peer:
            (told,) = await join(peer)
            assert told == room_message(position_of(told), None)
            await say(server, "a")
            heard = await peer.receive()
        await say(server, "b", "c")
        async with ready(server, f"_cw=2&_cw_at={position_of(heard)}") as peer:
            told, *missed = await join(peer)
            assert told == room_message(position_of(heard), True)
            assert [message["payload"] for message in missed] == ["b", "c"]
            await say(server, "d")
            assert await peer.receive() == {"event": "said", "payload": "d", "at": next_position(position_of(heard), 3)}
            await peer.send("leave", "1")
            assert await peer.receive() == LEFT
            await say(server, "e")
            assert await peer.rest() == []


@pytest.mark.parametrize("query", ["", "_cw=1", "_cw=1&_cw_at=k3xQ9a2f.1"])
async def test_clients_that_do_not_say_so_get_messages_and_no_more(query: str) -> None:
    async with history_server() as server, ready(server, query) as peer:
        await say(server, "before")
        assert await join(peer) == []
        await say(server, "a")
        message = await peer.receive()
        assert message == {"event": "said", "payload": "a", "at": message["at"]}
        await peer.send("leave", "1")
        assert await peer.rest() == []
        (rewound,) = await join(peer, rewind=1)
        assert rewound == message


async def test_rooms_without_history_are_as_ever() -> None:
    async with history_server() as server, ready(server, "_cw=2&_cw_at=k3xQ9a2f.1") as peer:
        assert await join(peer, namespace="game") == []
        server.room("game", "1").send("said", "a")
        assert await peer.receive() == {"event": "said", "payload": "a"}
        await peer.send("join", {"namespace": "game", "id": "2", "rewind": 1}, callbackId="x")
        assert (await peer.receive())["error"]["code"] == "HANDLER_ERROR"  # there is nothing to rewind
        assert server.local_rooms.ids("game") == {"1"}


FORMATS: dict[str, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    "JSON": ({}, json.loads),
    "MessagePack": ({"subprotocols": [Subprotocol(MSGPACK_SUBPROTOCOL)]}, msgspec.msgpack.decode),
    "compressed": ({"compression": "deflate"}, json.loads),
    "compressed MessagePack": (
        {"subprotocols": [Subprotocol(MSGPACK_SUBPROTOCOL)], "compression": "deflate"},
        msgspec.msgpack.decode,
    ),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("below", ["own", "uvicorn", "app"])
async def test_every_format_and_transport_carries_the_same(name: str, below: str) -> None:
    options, decode = FORMATS[name]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("not for the application")

    server = history_server(compression="compressed" in name, **({"app": application} if below == "app" else {}))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server)
        port = await stack.enter_async_context(running_uvicorn(server.asgi)) if below == "uvicorn" else server.port

        async def connected(query: str) -> Peer:
            url = f"ws://127.0.0.1:{port}/?id=1&_cw=2{query}"
            settings = {"compression": None, "ping_interval": None, **options}
            return Peer(await stack.enter_async_context(websockets.connect(url, proxy=None, **settings)), "")

        async def receive(peer: Peer, number: int) -> list[Any]:
            return [decode(await peer.receive_frame()) for _ in range(number)]

        def encoded(message: dict[str, Any]) -> str | bytes:
            return msgspec.msgpack.encode(message) if decode is not json.loads else json.dumps(message)

        first = await connected("")
        await first.ws.send(encoded({"event": "join", "payload": {"id": "1"}}))
        ready_, told = await receive(first, 2)
        assert ready_ == {"event": "$ready", "payload": None}
        texts = [f"{number} " * 400 for number in range(20)]
        await say(server, *texts)
        live = await receive(first, 20)
        assert [message["payload"] for message in live] == texts
        second = await connected(f"&_cw_at={position_of(live[4])}")
        await second.ws.send(encoded({"event": "join", "payload": {"id": "1"}}))
        _, told, *missed = await receive(second, 17)
        assert told == room_message(position_of(live[4]), True)
        assert missed == live[5:]
        await say(server, "new")
        assert await receive(second, 1) == await receive(first, 1)


async def test_a_client_below_another_asgi_server() -> None:
    async with history_server() as server:
        await say(server, "a", "b")
        client = await asgi_client.connect(server.asgi, "/?id=1&_cw=2", [])
        assert isinstance(client, AsgiClient)
        client.send_text(json.dumps({"event": "join", "payload": {"id": "1", "rewind": 2}}))
        messages = [json.loads(str(await client.receive())) for _ in range(4)]
        assert [message["event"] for message in messages] == ["$ready", "$room", "said", "said"]
        client.close()


async def test_excluded_users_are_left_out_of_what_is_recovered() -> None:
    async with history_server() as server, ready(server) as peer:
        (told,) = await join(peer)
        start = position_of(told)
        await say(server, "a")
        await say(server, "not for 2", exclude=["2"])
        await say(server, "c")
        for user, expected in (("2", ["a", "c"]), ("3", ["a", "not for 2", "c"])):
            async with ready(server, f"_cw=2&_cw_at={start}", user) as other:
                told, *missed = await join(other)
                assert told == room_message(start, True)
                assert [message["payload"] for message in missed] == expected


@pytest.mark.parametrize(("duplicates", "expected"), [("replace", ["b"]), ("allow", ["a", "b"])])
async def test_an_excluded_socket_stands_for_its_user_where_a_user_has_one(
    duplicates: str, expected: list[str]
) -> None:
    server = history_server(duplicates=duplicates)
    async with server:
        async with ready(server) as peer:
            (told,) = await join(peer)
            await say(server, "a", exclude=[*server.sockets])
            await say(server, "b")
            assert (await peer.receive())["payload"] == "b"
        async with ready(server, f"_cw=2&_cw_at={position_of(told)}") as peer:
            _, *missed = await join(peer)
            assert [message["payload"] for message in missed] == expected


async def test_rewinding_and_a_position_of_no_use() -> None:
    async with history_server() as server, ready(server) as peer:
        (told,) = await join(peer)
        start = position_of(told)
        await say(server, *"abcde")
        for query, rewind, expected, texts in (
            ("_cw=2", 2, room_message(next_position(start, 3), None), ["d", "e"]),
            ("_cw=2", 50, room_message(start, None), [*"abcde"]),
            (
                f"_cw=2&_cw_at={next_position(start, 9)}",
                1,
                room_message(next_position(start, 4), False, "ahead"),
                ["e"],
            ),
            (f"_cw=2&_cw_at={next_position(start, 3)}", 5, room_message(next_position(start, 3), True), ["d", "e"]),
            ("_cw=2&_cw_at=k3xQ9a2f.9", 0, room_message(next_position(start, 5), None), []),
        ):
            async with ready(server, query, "2") as other:
                told, *messages = await join(other, rewind=rewind)
                assert (told, [message["payload"] for message in messages]) == (expected, texts)


async def test_what_is_not_kept_any_more_is_told() -> None:
    server = history_server()
    server.history("chat", size=100, ttl=300)
    async with server, ready(server) as peer:
        (told,) = await join(peer)
        start = position_of(told)
        await say(server, *(str(number) for number in range(101)))
        async with ready(server, f"_cw=2&_cw_at={start}", "2") as other:
            assert await join(other) == [room_message(next_position(start, 101), False, "trimmed")]
        async with ready(server, f"_cw=2&_cw_at={next_position(start)}", "2") as other:
            told, *messages = await join(other)
            assert (told["payload"]["recovered"], len(messages)) == (True, 100)


async def test_too_much_is_not_sent_and_the_connection_stays() -> None:
    async with history_server(limits=Limits(outbox=200_000)) as server, ready(server) as peer:
        (told,) = await join(peer)
        start = position_of(told)
        for _ in range(12):
            await say(server, "x" * 10_000)
            await peer.receive()
        async with ready(server, f"_cw=2&_cw_at={start}", "2") as other:
            assert await join(other) == [room_message(next_position(start, 12), False, "too-much")]
        async with ready(server, f"_cw=2&_cw_at={next_position(start, 5)}", "2") as other:
            assert len(await join(other)) == 8


async def test_many_positions_and_garbage_cost_nothing_and_do_no_harm() -> None:
    async with history_server(limits=Limits(header_size=1 << 20)) as server, ready(server) as peer:
        (told,) = await join(peer)
        await say(server, "a")
        start = position_of(told)
        for offered in (
            ",".join(f"{number:08}.{number}" for number in range(50_000)),
            f"{start}," + "%00" * 100_000,
            "," * 100_000,
            ("A" * 4095) + "," + start,
        ):
            async with ready(server, f"_cw=2&_cw_at={offered}", "2") as other:
                told, *_ = await join(other)
                assert told["payload"]["recovered"] is (True if offered.startswith(start) else None)
                assert [*server.sockets][-1].handshake.query == {"id": "2"}


async def test_every_connection_of_a_user_has_its_own_position() -> None:
    async with history_server() as server, ready(server) as one:
        (told,) = await join(one)
        await say(server, "a", "b")
        first = await one.receive()
        await one.receive()
        async with ready(server, f"_cw=2&_cw_at={position_of(told)}") as two, ready(server, "") as three:
            await server.room("chat", "1").add("1")
            assert [message.get("at") for message in await two.rest()] == [
                None,
                position_of(first),
                next_position(position_of(first)),
            ]
            assert await three.rest() == await one.rest() == []
            await say(server, "c")
            heard = [(await peer.receive())["payload"] for peer in (one, two, three)]
            assert heard == ["c", "c", "c"]
            await server.room("chat", "1").remove("1")
            assert [await peer.rest() for peer in (one, two, three)] == [[LEFT], [LEFT], []]
            await server.room("chat", "1").add("1")
            await server.room("chat", "1").clear()
            assert [[message["event"] for message in await peer.rest()] for peer in (one, two, three)] == [
                ["$room", "$left"],
                ["$room", "$left"],
                [],
            ]
            assert server.local_rooms.count("chat") == 0


async def test_a_new_user_keeps_the_room_and_is_told_nothing() -> None:
    server = history_server()

    @server.on("rename")
    async def rename(socket: Socket, user: str) -> str:
        await socket.identify(user)
        return socket.user

    async with server, ready(server) as peer:
        (told,) = await join(peer)
        assert await peer.call("rename", "2") == "2"
        await say(server, "a")
        assert position_of(await peer.receive()) == next_position(position_of(told))
        await say(server, "b", exclude=["2"])
        await say(server, "c")
        assert (await peer.receive())["payload"] == "c"


async def test_members_of_a_room_that_begins_to_keep_history_are_told() -> None:
    server = make_server()
    server.on("join", lambda socket: socket.join("chat", "1"))
    async with server, ready(server) as peer, ready(server, "_cw=1", "2") as old:
        await peer.call("join")
        await old.call("join")
        server.history("chat")
        told = await peer.receive()
        assert told == room_message(position_of(told), None)
        await say(server, "a")
        assert position_of(await peer.receive()) == next_position(position_of(told))
        assert (await old.receive())["payload"] == "a"


async def test_a_room_that_is_joined_while_the_client_connects_comes_before_ready() -> None:
    server = history_server()

    @server.on_connect
    async def enter(socket: Socket) -> None:
        await socket.join("chat", "1", rewind=1)

    async with server:
        await say(server, "a")
        async with connect(server, path="/?id=1&_cw=2") as peer:
            assert [(await peer.receive())["event"] for _ in range(3)] == ["$room", "said", "$ready"]


async def test_many_clients_come_back_at_once() -> None:
    server = history_server(limits=Limits(address_rate=None))
    async with server, AsyncExitStack() as stack:
        await say(server, *(f"{number}" for number in range(50)))
        start = (await server.room("chat", "1").history(limit=1)).messages[-1].position
        offered = next_position(start, -20)
        peers = [await stack.enter_async_context(ready(server, f"_cw=2&_cw_at={offered}", str(n))) for n in range(100)]
        for peer in peers:
            await peer.send("join", {"id": "1"})
        server.room("chat", "1").send("said", "last")
        for peer in peers:
            assert await peer.receive() == room_message(offered, True)
            messages = [await peer.receive() for _ in range(21)]
            assert [position_of(each) for each in messages] == [next_position(offered, n) for n in range(1, 22)]
        assert server.local_rooms.count("chat", "1") == 100


async def test_joins_that_end_early_leave_nothing() -> None:
    server = history_server()
    started: list[asyncio.Task[Any]] = []

    @server.on("hasty")
    async def hasty(socket: Socket) -> None:
        task = asyncio.ensure_future(socket.join("chat", "1"))
        started.append(task)
        await asyncio.sleep(0)
        task.cancel()

    async with server:
        for _ in range(20):
            async with ready(server) as peer:
                await peer.send("hasty")
                await wait_until(lambda: started and all(task.done() for task in started))
                await peer.send("join", {"id": "1"})  # and the connection ends
        await wait_until(lambda: not server.sockets)
        assert server.local_rooms.count("chat") == 0
        async with ready(server) as peer:
            assert len(await join(peer)) == 1


async def test_recoveries_are_counted() -> None:
    async with history_server(metrics=True) as server, ready(server) as peer:
        (told,) = await join(peer)
        await say(server, "a", "b")
        for query in (f"_cw=2&_cw_at={position_of(told)}", f"_cw=2&_cw_at={next_position(position_of(told), 9)}"):
            async with ready(server, query, "2") as other:
                await join(other)
        now = await scrape(server.port)
        results = {
            each: now.value("crosswire_recoveries_total", result=each) for each in ("first", "recovered", "ahead")
        }
        assert results == {"first": 1, "recovered": 1, "ahead": 1}
        assert now.value("crosswire_recovered_messages_total") == 2


async def test_a_room_limit_refuses_and_tells_nothing() -> None:
    server = history_server(limits=Limits(rooms=1))

    @server.on("try")
    async def attempt(socket: Socket) -> str:
        try:
            await socket.join("chat", "2")
        except EventError as error:
            return error.code
        return "joined"

    async with server, ready(server) as peer:
        await join(peer)
        assert await peer.call("try") == "ROOM_LIMIT"
        assert await peer.rest() == []
