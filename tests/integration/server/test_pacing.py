"""An application that sends much to a client that reads slowly waits for it with ``drained``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from crosswire import Close, Limits, NotConnected, Server, Socket, UsageError
from tests.integration.server.support import TEXT, HookRecorder, RawPeer, connect, make_server, raw_connect
from tests.support.aio import wait_until

PART, PARTS = "x" * 64 * 1024, 190
LIMITS = Limits(outbox=256 * 1024)


def snapshot_server(*, paced: bool, told: Callable[[BaseException], object] = print) -> Server:
    """A server that sends 12 MB to who asks for it."""
    server = make_server(limits=LIMITS)

    @server.on("snapshot")
    async def snapshot(socket: Socket) -> None:
        try:
            for number in range(PARTS):
                socket.send("part", [number, PART])
                await (socket.drained() if paced else asyncio.sleep(0))
            socket.send("whole")
        except NotConnected as error:
            told(error)

    return server


async def read_slowly(peer: RawPeer) -> list[tuple[int, bytes]]:
    """Read all frames, in little steps, up to the last."""
    frames: list[tuple[int, bytes]] = []
    while not frames or (frames[-1][0] == TEXT and b"whole" not in frames[-1][1][:20]):
        frames.append(await peer.frame(20))
        await asyncio.sleep(0.001)
    return frames


async def test_a_large_snapshot_reaches_a_slow_client_whole() -> None:
    server = snapshot_server(paced=True)
    async with server, raw_connect(server, receive_buffer=16 * 1024) as peer:
        peer.send_event("snapshot")
        frames = await read_slowly(peer)
        assert [json.loads(payload)["payload"] for _, payload in frames[:-1]] == [[n, PART] for n in range(PARTS)]
        assert frames[-1] == (TEXT, b'{"event":"whole","payload":null}')


async def test_a_client_is_dropped_without_pacing() -> None:
    server = snapshot_server(paced=False)
    recorder = HookRecorder(server)
    async with server, raw_connect(server, receive_buffer=16 * 1024) as peer:
        peer.send_event("snapshot")
        await wait_until(lambda: recorder.closes)
        assert recorder.closes[0][1].code == 1013


async def test_a_snapshot_in_on_connect_is_paced_too() -> None:
    server = make_server(limits=LIMITS)

    @server.on_connect
    async def greet(socket: Socket) -> None:
        for number in range(PARTS):
            socket.send("part", [number, PART])
            await socket.drained(below=100 * 1024)
        socket.send("whole")

    async with server, raw_connect(server, receive_buffer=16 * 1024) as peer:
        assert len(await read_slowly(peer)) == PARTS + 1


@pytest.mark.parametrize("end", ["close", "leave", "abort", "stop"])
async def test_drained_returns_false_when_the_connection_ends(end: str) -> None:
    errors: list[BaseException] = []
    server = snapshot_server(paced=True, told=errors.append)
    async with server, raw_connect(server, "1", receive_buffer=16 * 1024) as peer:
        peer.send_event("snapshot")
        (socket,) = server.sockets
        await wait_until(lambda: socket.buffered > 64 * 1024)
        if end == "close":
            server.user("1").send("more")
            await server.user("1").close(4000)
        elif end == "abort":
            socket._client.abort(Close(4000))
        elif end == "leave":
            peer.writer.transport.abort()
        else:
            await server.stop()
        await wait_until(lambda: errors)
        assert [isinstance(error, NotConnected) for error in errors] == [True]
        with pytest.raises(NotConnected):
            await socket.drained()


async def test_drained_may_be_cancelled_and_nothing_is_lost() -> None:
    server, done = make_server(limits=Limits(outbox=16 * 1024 * 1024)), list[Any]()

    @server.on("fill")
    async def fill(socket: Socket) -> None:
        for number in range(PARTS):
            socket.send("part", [number, PART])
        try:
            await asyncio.wait_for(socket.drained(below=1), 0.1)
        except TimeoutError:
            done.append("not yet")
        await socket.drained(below=1)
        done.append(socket.buffered)
        socket.send("whole")

    async with server, raw_connect(server, receive_buffer=4096) as peer:
        peer.send_event("fill")
        await wait_until(lambda: done)
        frames = await read_slowly(peer)
        assert (len(frames), done) == (PARTS + 1, ["not yet", 0])


async def test_a_client_that_reads_is_not_waited_for() -> None:
    server = make_server()

    @server.on("say")
    async def say(socket: Socket) -> int:
        socket.send("one", PART)
        await socket.drained(below=1)
        return socket.buffered

    async with server, connect(server) as peer:
        await peer.send("say", callbackId="1")
        assert (await peer.event())[0] == "one"
        assert await peer.receive() == {"payload": 0, "callbackId": "1"}


@pytest.mark.parametrize("below", [0, -1, 1.5, True, "64", None])
async def test_an_invalid_mark_is_refused(below: Any) -> None:
    server = make_server()
    async with server, connect(server, "1"):
        await wait_until(lambda: server.sockets)
        (socket,) = server.sockets
        with pytest.raises(UsageError, match="drained"):
            await socket.drained(below=below)
