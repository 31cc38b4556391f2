from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from crosswire import EventError, Limits, NotConnected, Server, Socket, UsageError
from tests.integration.server.support import HookRecorder, Peer, connect, make_server
from tests.support.aio import wait_until


@asynccontextmanager
async def three_clients(**options: Any) -> AsyncIterator[tuple[Server, dict[str, Socket], dict[str, Peer]]]:
    """A server with the users 1, 2 and 3."""
    server = make_server(**options)
    recorder = HookRecorder(server)
    async with server, connect(server, "1") as one, connect(server, "2") as two, connect(server, "3") as three_:
        sockets = {socket.user: socket for socket in recorder.connected}
        yield server, sockets, {"1": one, "2": two, "3": three_}


async def heard(peers: dict[str, Peer]) -> dict[str, list[str]]:
    return {user: [message["event"] for message in await peer.rest()] for user, peer in peers.items()}


async def test_a_room_reaches_its_members_only() -> None:
    async with three_clients() as (server, sockets, peers):
        await sockets["1"].join("chat", "a")
        await sockets["2"].join("chat", "a")
        await sockets["3"].join("chat", "b")
        server.room("chat", "a").send("one")
        server.room("chat", "b").send("two")
        server.room("chat", "c").send("nobody")
        server.room("other", "a").send("nobody")
        assert await heard(peers) == {"1": ["one"], "2": ["one"], "3": ["two"]}


async def test_a_socket_that_left_gets_no_messages_of_the_room() -> None:
    async with three_clients() as (server, sockets, peers):
        for room in ("a", "b"):
            await sockets["1"].join("chat", room)
        await sockets["1"].leave("chat", "a")
        await sockets["1"].leave("chat", "never joined")
        await sockets["2"].leave("nothing", "at all")
        server.room("chat", "a").send("gone")
        server.room("chat", "b").send("still")
        assert await heard(peers) == {"1": ["still"], "2": [], "3": []}
        await sockets["1"].join("chat", "a")
        server.room("chat", "a").send("back")
        assert await heard(peers) == {"1": ["back"], "2": [], "3": []}


async def test_joining_twice_is_joining_once() -> None:
    async with three_clients() as (server, sockets, peers):
        await sockets["1"].join("chat", "a")
        await sockets["1"].join("chat", "a")
        server.room("chat", "a").send("one")
        assert (await heard(peers))["1"] == ["one"]
        await sockets["1"].leave("chat", "a")
        assert server.local_rooms.count("chat") == 0


async def test_excluded_members_get_no_message() -> None:
    async with three_clients() as (server, sockets, peers):
        for socket in sockets.values():
            await socket.join("chat", "a")
        server.room("chat", "a").send("not 2", exclude=["2"])
        server.room("chat", "a").send("not 1 and 3", exclude={"1", "3", "99"})
        server.room("chat", "a").send("all", exclude=[], local=True)
        server.room("chat", "a").send("generated", exclude=(user for user in "12"))
        assert await heard(peers) == {
            "1": ["not 2", "all"],
            "2": ["not 1 and 3", "all"],
            "3": ["not 2", "all", "generated"],
        }


async def test_add_and_remove_a_user() -> None:
    async with three_clients(duplicates="allow") as (server, sockets, peers), connect(server, "1") as second:
        room = server.room("chat", "a")
        replies = await room.add("1")
        assert (dict(replies), replies.complete, replies.errors) == ({"test": 2}, True, {})
        assert dict(await room.add("1")) == {"test": 0}
        assert dict(await room.add("99")) == {"test": 0}
        room.send("hi")
        assert await second.event() == ("hi", None)
        assert await heard(peers) == {"1": ["hi"], "2": [], "3": []}
        assert sockets["1"].rooms == {"chat": {"a"}}
        assert dict(await room.remove("2")) == {"test": 0}
        assert dict(await room.remove("1")) == {"test": 2}
        room.send("bye")
        assert (await heard(peers))["1"] == []


async def test_clear_empties_a_room() -> None:
    async with three_clients() as (server, sockets, peers):
        for socket in sockets.values():
            await socket.join("chat", "a")
            await socket.join("chat", "b")
        assert dict(await server.room("chat", "a").clear()) == {"test": 3}
        assert dict(await server.room("chat", "a").clear()) == {"test": 0}
        server.room("chat", "a").send("gone")
        server.room("chat", "b").send("still")
        assert await heard(peers) == {"1": ["still"], "2": ["still"], "3": ["still"]}
        assert server.local_rooms.ids("chat") == {"b"}


async def test_members_and_count() -> None:
    async with three_clients() as (server, sockets, _):
        await sockets["1"].join("chat", "a")
        await sockets["2"].join("chat", "a")
        roster = await server.room("chat", "a").members()
        assert (set(roster), roster.missing, len(roster), "1" in roster) == ({"1", "2"}, (), 2, True)
        tally = await server.room("chat", "a").count()
        assert (tally, tally.total, tally.missing) == (2, 2, ())
        assert set(await server.room("chat", "b").members()) == set()


async def test_every_local_query() -> None:
    async with three_clients() as (server, sockets, _):
        for user, namespace, room in [
            ("1", "chat", "10"),
            ("2", "chat", "10"),
            ("1", "chat", "100"),
            ("3", "chat", "200"),
            ("1", "chat.de", "10"),
            ("2", "game", "10"),
        ]:
            await sockets[user].join(namespace, room)
        rooms = server.local_rooms
        assert rooms.members("chat", "10") == {"1", "2"}
        assert rooms.members("chat", "10", prefix=True) == {"1", "2"}
        assert rooms.members("chat", "2", prefix=True) == {"3"}
        assert rooms.members("chat", "2") == set()
        assert rooms.members("chat") == {"1", "2", "3"}
        assert rooms.members("chat.") == set()
        assert rooms.members("chat.", prefix=True) == {"1"}
        assert rooms.members("chat", prefix=True) == {"1", "2", "3"}
        assert rooms.members("x") == rooms.members("x", "10") == rooms.members("x", prefix=True) == set()
        assert rooms.count("chat", "10") == 2
        assert rooms.count("chat", "10", prefix=True) == 2  # users 1 and 2, however many rooms
        assert rooms.count("chat") == 3
        assert rooms.count("g", prefix=True) == 1
        assert rooms.count("g") == 0
        assert rooms.ids("chat") == {"10", "100", "200"}
        assert rooms.ids("chat", prefix=True) == {"10", "100", "200"}
        assert rooms.ids("c", prefix=True) == {"10", "100", "200"}
        assert rooms.ids("game") == {"10"}
        assert rooms.ids("c") == set()
        assert rooms.joined("1") == {"chat": {"10", "100"}, "chat.de": {"10"}}
        assert rooms.joined("1", "chat.") == {"chat.de": {"10"}}
        assert rooms.joined("1", "game") == rooms.joined("99") == {}
        assert rooms.has("1", "chat")
        assert rooms.has("1", "chat", "100")
        assert not rooms.has("2", "chat", "100")
        assert not rooms.has("1", "cha")
        assert not rooms.has("99", "chat")


async def test_what_a_query_returns_is_a_copy() -> None:
    async with three_clients() as (server, sockets, _):
        await sockets["1"].join("chat", "a")
        server.local_rooms.members("chat", "a").clear()
        server.local_rooms.ids("chat").clear()
        server.local_rooms.joined("1")["chat"].clear()
        sockets["1"].rooms["chat"].clear()
        assert sockets["1"].rooms == {"chat": {"a"}}
        assert server.local_rooms.members("chat", "a") == {"1"}


async def test_a_lost_connection_leaves_its_rooms() -> None:
    server = make_server()
    rooms = list[dict[str, set[str]]]()
    server.on_disconnect(lambda socket: rooms.append(socket.rooms))
    recorder = HookRecorder(server)
    async with server:
        for closed_by in ("client", "server", "reset"):
            async with connect(server, "1") as peer:
                socket = recorder.connected.pop()
                await socket.join("chat", "a")
                await socket.join("chat", "b")
                if closed_by == "server":
                    socket.close(4000)
                    assert server.local_rooms.ids("chat") == set()
                elif closed_by == "reset":
                    peer.ws.transport.abort()
            await wait_until(lambda: recorder.closes)
            recorder.closes.clear()
            assert server.local_rooms.ids("chat") == set()
            assert rooms.pop() == {"chat": {"a", "b"}}
            with pytest.raises(NotConnected):
                await socket.join("chat", "a")
            await socket.leave("chat", "a")
            assert server.local_rooms.ids("chat") == set()


async def test_more_rooms_than_the_limit_are_refused() -> None:
    async with three_clients(limits=Limits(rooms=3)) as (server, sockets, peers):
        server.on("join", lambda socket, data: socket.join("chat", data))
        for room in ("a", "b", "c"):
            assert await peers["1"].call("join", room) is None
        assert (await peers["1"].refused("join", "d"))[0] == "ROOM_LIMIT"
        assert await peers["1"].call("join", "a") is None  # it is in it already
        with pytest.raises(EventError) as refused:
            await sockets["1"].join("other", "x")
        assert refused.value.code == "ROOM_LIMIT"
        replies = await server.room("chat", "d").add("1")
        assert (dict(replies), replies.errors["test"].code, replies.complete) == ({}, "ROOM_LIMIT", True)
        await sockets["1"].leave("chat", "a")
        assert await peers["1"].call("join", "d") is None
        assert await peers["2"].call("join", "a") is None
        assert server.local_rooms.ids("chat") == {"a", "b", "c", "d"}


async def test_names_that_mean_something_elsewhere_are_just_names() -> None:
    async with three_clients() as (server, sockets, peers):
        names = ["broadcast", "private_socket", "*", ":", "/", "__proto__", "a\0b", "é漢🎉", " "]
        for name in names:
            await sockets["1"].join(name, name)
        for name in names:
            server.room(name, name).send(name)
        assert await heard(peers) == {"1": names, "2": [], "3": []}


@pytest.mark.parametrize("bad", ["", None, 5, b"a", "\ud800"])
async def test_names_are_strings(bad: Any) -> None:
    async with three_clients() as (server, sockets, _):
        for namespace, room in ((bad, "a"), ("chat", bad)):
            with pytest.raises(UsageError):
                await sockets["1"].join(namespace, room)
            with pytest.raises(UsageError):
                await sockets["1"].leave(namespace, room)
            with pytest.raises(UsageError):
                server.room(namespace, room)
        with pytest.raises(UsageError):
            await server.room("chat", "a").add(bad)
        with pytest.raises(UsageError):
            await server.room("chat", "a").remove(bad)
        with pytest.raises(UsageError):
            server.room("chat", "a").send("x", exclude=[bad])
        assert server.local_rooms.joined("1") == {}
