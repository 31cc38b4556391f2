from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest

from crosswire import Close, ConfigError, NotConnected, Reject, Server, Socket, UsageError
from tests.integration.server.support import CLOSE, HookRecorder, connect, make_server, raw_connect
from tests.support.aio import wait_until

REPLACED = Close(4012, "replaced by a newer connection of the same user")
REFUSED = Close(4012, "the user is connected already")


def identifying_server(duplicates: str = "replace") -> tuple[Server, HookRecorder]:
    server = make_server(duplicates=duplicates)

    @server.on("login")
    async def login(socket: Socket, user: str) -> str:
        await socket.identify(user)
        return socket.user

    server.on("me", lambda socket: socket.user)

    @server.on("join")
    async def join(socket: Socket, data: Any) -> None:
        await socket.join("chat", data)

    return server, HookRecorder(server)


async def test_identify_makes_the_socket_reachable_under_its_user() -> None:
    server, recorder = identifying_server()
    async with server, connect(server) as peer:
        before = await peer.call("me")
        assert await peer.call("login", "7") == "7"
        assert server.socket_of("7") is recorder.connected[0]
        assert server.socket_of(before) is None
        server.user(before).send("old")
        server.user("7").send("new")
        assert [message["event"] for message in await peer.rest()] == ["new"]
        assert await server.everyone.count() == 1


async def test_identify_keeps_the_rooms() -> None:
    server, _ = identifying_server()
    async with server, connect(server, "1") as peer:
        await peer.call("join", "a")
        await peer.call("login", "7")
        assert server.local_rooms.members("chat", "a") == {"7"}
        assert server.local_rooms.joined("7") == {"chat": {"a"}}
        assert server.local_rooms.joined("1") == {}
        server.room("chat", "a").send("hi", exclude=["1"])
        assert await peer.event() == ("hi", None)
    assert server.local_rooms.members("chat") == set()


async def test_identify_as_the_same_user_changes_nothing() -> None:
    for mode in ("replace", "refuse", "allow"):
        server, _ = identifying_server(mode)
        async with server, connect(server, "7") as peer:
            await peer.call("join", "a")
            assert await peer.call("login", "7") == "7"
            assert server.local_rooms.members("chat", "a") == {"7"}
            assert await server.everyone.count() == 1


@pytest.mark.parametrize("user", ["", 5, None, b"x"])
async def test_identify_takes_a_name(user: Any) -> None:
    server, recorder = identifying_server()
    async with server, connect(server, "1"):
        with pytest.raises(UsageError):
            await recorder.connected[0].identify(user)
        assert server.socket_of("1") is recorder.connected[0]


async def test_identify_on_a_closed_socket() -> None:
    server, recorder = identifying_server()
    async with server:
        async with connect(server, "1"):
            pass
        await wait_until(lambda: recorder.closes)
        with pytest.raises(NotConnected):
            await recorder.connected[0].identify("7")
        assert await server.everyone.count() == 0


@pytest.mark.parametrize("how", ["connect", "identify"])
async def test_replace_closes_the_older_connection(how: str) -> None:
    server, recorder = identifying_server("replace")
    async with server, connect(server, "1") as old, connect(server, "1" if how == "connect" else "2") as new:
        if how == "identify":
            await new.call("login", "1")
        assert await old.closed() == REPLACED
        assert server.socket_of("1") is recorder.connected[1]
        server.user("1").send("hi")
        assert await new.event() == ("hi", None)
        await wait_until(lambda: recorder.closes)
        assert recorder.closes == [("1", REPLACED)]
        assert await server.everyone.count() == 1


@pytest.mark.parametrize("how", ["connect", "identify"])
async def test_refuse_closes_the_newer_connection(how: str) -> None:
    server, recorder = identifying_server("refuse")
    async with server, connect(server, "1") as old, connect(server, "1" if how == "connect" else "2") as new:
        await old.call("join", "a")
        if how == "identify":
            await new.send("login", "1", callbackId="x")
        assert await new.closed() == REFUSED
        assert server.socket_of("1") is recorder.connected[0]
        server.room("chat", "a").send("hi")
        assert await old.event() == ("hi", None)
        assert await server.everyone.count() == 1
        # Only who was let in is told of as gone.
        await wait_until(lambda: len(recorder.closes) == (1 if how == "identify" else 0))
        # The user is free again once the older is gone.
        await old.ws.close()
        await wait_until(lambda: server.sockets == ())
        async with connect(server, "1") as third:
            assert await third.call("me") == "1"


async def test_a_refused_identify_raises_and_keeps_user_and_rooms() -> None:
    server, recorder = identifying_server("refuse")
    rooms = list[dict[str, set[str]]]()
    server.on_disconnect(lambda socket: rooms.append(socket.rooms))
    async with server, connect(server, "1"), connect(server, "2") as new:
        await new.call("join", "a")
        with pytest.raises(Reject) as refused:
            await recorder.connected[1].identify("1")
        assert refused.value.close_code == 4012
        assert await new.closed() == REFUSED
        await wait_until(lambda: recorder.closes)
        assert recorder.closes == [("2", REFUSED)]
        assert rooms == [{"chat": {"a"}}]
        assert server.local_rooms.members("chat") == set()


@pytest.mark.parametrize("how", ["connect", "identify"])
async def test_allow_keeps_both_connections(how: str) -> None:
    server, recorder = identifying_server("allow")
    async with server, connect(server, "1") as old, connect(server, "1" if how == "connect" else "2") as new:
        await new.call("login", "1")
        server.user("1").send("hi")
        assert await old.event() == await new.event() == ("hi", None)
        assert await server.everyone.count() == await server.user("1").count() == 1
        assert len(server.sockets) == 2
        assert server.socket_of("1") is recorder.connected[1]
        await new.call("join", "a")
        await old.call("join", "a")
        assert server.local_rooms.count("chat", "a") == 1
        await old.ws.close()
        await wait_until(lambda: recorder.closes)
        assert server.local_rooms.members("chat", "a") == {"1"}
        server.room("chat", "a").send("room")
        server.user("1").send("user")
        assert await new.event() == ("room", None)
        assert await new.event() == ("user", None)
        assert server.socket_of("1") is recorder.connected[1]


@pytest.mark.parametrize("ending", ["late close frame", "reset", "silence"])
async def test_a_late_end_of_the_old_connection_does_not_affect_the_new(
    ending: Literal["late close frame", "reset", "silence"],
) -> None:
    server, recorder = identifying_server("replace")
    async with server, raw_connect(server, "1") as old:
        old.send_event("join", "a", callbackId="j")
        assert (await old.frame())[0] == 1
        async with connect(server, "1") as new:
            await new.call("join", "a")
            assert (await old.frame())[0] == CLOSE
            # Events that the old connection still sends are not dispatched.
            old.send_event("join", "b")
            if ending == "late close frame":
                old.send(CLOSE, (4012).to_bytes(2, "big"))
                await old.gone()
            elif ending == "reset":
                old.writer.transport.abort()
            if ending != "silence":
                await wait_until(lambda: recorder.closes)
                assert recorder.closes == [("1", REPLACED)]
            assert server.socket_of("1") is recorder.connected[1]
            assert server.local_rooms.joined("1") == {"chat": {"a"}}
            server.room("chat", "a").send("room")
            server.user("1").send("user")
            assert [message["event"] for message in await new.rest()] == ["room", "user"]


async def test_a_replaced_connection_gets_no_more_messages() -> None:
    server, _ = identifying_server("replace")
    async with server, raw_connect(server, "1") as old, connect(server, "1"):
        server.user("1").send("for the new one")
        assert await old.until_close() == (4012, [])


async def test_calls_to_the_old_connection_end_when_it_is_replaced() -> None:
    server, recorder = identifying_server("replace")
    async with server, raw_connect(server, "1"):
        call = asyncio.create_task(recorder.connected[0].call("ask"))
        await asyncio.sleep(0)
        async with connect(server, "1"):
            with pytest.raises(NotConnected):
                await call


async def test_a_duplicate_takes_over_many_times() -> None:
    server, recorder = identifying_server("replace")
    async with server:
        for _ in range(20):
            async with connect(server, "1") as peer, connect(server, "1") as newer:
                await newer.call("join", "a")
                assert (await peer.closed()).code == 4012
                assert server.local_rooms.members("chat", "a") == {"1"}
        await wait_until(lambda: len(recorder.closes) == 40)
        assert server.sockets == ()
        assert server.local_rooms.ids("chat") == set()


def test_other_modes_are_refused() -> None:
    with pytest.raises(ConfigError):
        Server(duplicates="kick")  # type: ignore[arg-type] # pyright: ignore
