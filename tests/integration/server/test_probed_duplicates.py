"""With duplicates="refuse" an older connection of a user keeps a newer one out only while its peer is alive."""

from __future__ import annotations

import asyncio

import pytest

from crosswire import Heartbeat, Reject, Server, Socket
from tests.integration.server.support import PING, TEXT, HookRecorder, client_frame, connect, make_server, raw_connect
from tests.support.aio import wait_until

PROBE = Heartbeat(probe=0.5)
LOCKED_OUT = (4012, "the user is connected already")


def refusing_server() -> tuple[Server, HookRecorder]:
    server = make_server(duplicates="refuse", heartbeat=PROBE)
    server.on("hello", lambda: "hi")
    return server, HookRecorder(server)


async def test_a_living_connection_refuses_a_newer_one_at_once() -> None:
    server, recorder = refusing_server()
    async with server, connect(server, "1") as old, connect(server, "1") as new:
        assert (await new.closed())[:2] == LOCKED_OUT
        assert await old.call("hello") == "hi"
        assert [socket.user for socket in recorder.connected] == ["1"]


async def test_a_dead_connection_is_dropped_for_a_newer_one() -> None:
    server, recorder = refusing_server()
    async with server, raw_connect(server, "1"), connect(server, "1") as new:
        assert await new.call("hello") == "hi"
        await wait_until(lambda: recorder.closes)
        assert [(user, close.code) for user, close in recorder.closes] == [("1", 1006)]
        assert [socket.user for socket in server.sockets] == ["1"]


async def test_a_message_instead_of_a_pong_shows_that_the_older_one_lives() -> None:
    server, _ = refusing_server()
    async with server, raw_connect(server, "1") as old, connect(server, "1") as new:
        assert (await old.frame())[0] == PING
        old.send_event("hello")
        assert (await new.closed())[:2] == LOCKED_OUT


async def test_a_part_of_a_message_shows_that_the_older_one_lives() -> None:
    server, _ = refusing_server()
    async with server, raw_connect(server, "1") as old, connect(server, "1") as new:
        assert (await old.frame())[0] == PING
        old.writer.write(client_frame(TEXT, b"x" * 1000)[:100])
        assert (await new.closed())[:2] == LOCKED_OUT


async def test_one_of_several_that_come_during_a_probe_stays() -> None:
    server, recorder = refusing_server()
    async with (
        server,
        raw_connect(server, "1"),
        connect(server, "1") as one,
        connect(server, "1") as two,
        connect(server, "1") as three,
    ):
        calls = await asyncio.gather(*(peer.call("hello") for peer in (one, two, three)), return_exceptions=True)
        assert sorted(answer == "hi" for answer in calls) == [False, False, True]
        assert len(server.sockets) == 1
        assert len(recorder.connected) == 2  # the dead one, and the one that stays


async def test_a_connection_that_ends_during_the_probe_leaves_nothing_behind() -> None:
    server, recorder = refusing_server()
    async with server, raw_connect(server, "1"):
        async with connect(server, "1"):
            pass
        async with connect(server, "1") as new:
            assert await new.call("hello") == "hi"
            assert len(recorder.connected) == 2  # the dead one, and this one
        await wait_until(lambda: not server.sockets)


@pytest.mark.parametrize("alive", [True, False])
async def test_identify_probes_the_older_connection_too(alive: bool) -> None:
    server, recorder = refusing_server()
    outcomes: list[object] = []

    @server.on("become")
    async def become(socket: Socket, data: str) -> None:
        try:
            await socket.identify(data)
        except Reject as reject:
            outcomes.append((reject.close_code, reject.reason))
            raise
        outcomes.append(socket.user)

    async with server, raw_connect(server, "1") as old, connect(server, "2") as new:
        await new.send("become", "1")
        if alive:
            assert (await old.frame())[0] == PING
            old.send_event("hello")
            assert (await new.closed())[:2] == LOCKED_OUT
            assert outcomes == [LOCKED_OUT]
        else:
            await wait_until(lambda: outcomes)
            assert outcomes == ["1"]
            await wait_until(lambda: recorder.closes)
            assert [(user, close.code) for user, close in recorder.closes] == [("1", 1006)]


async def test_the_same_user_again_by_identify_is_no_duplicate() -> None:
    server, _ = refusing_server()
    async with server, connect(server, "1") as peer:
        assert await peer.call("hello") == "hi"
        (socket,) = server.sockets
        await socket.identify("1")
        assert await peer.call("hello") == "hi"
