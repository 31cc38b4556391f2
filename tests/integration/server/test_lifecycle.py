from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import suppress

import pytest

from crosswire import Close, ConfigError, Server, UsageError
from tests.integration.server.support import HookRecorder, connect, crowd, make_server, nobody_listens, raw_stream
from tests.support.aio import wait_until


async def test_a_second_start_is_refused() -> None:
    server = make_server()
    async with server, connect(server, "1") as peer:
        with pytest.raises(ConfigError):
            await server.start()
        assert await peer.rest() == []


async def test_a_server_may_be_stopped_twice_and_before_the_start() -> None:
    server, stops = make_server(), list[int]()
    server.on_stop(lambda: stops.append(1))
    await server.stop()
    assert stops == []
    await server.start()
    await asyncio.gather(server.stop(), server.stop(drain=1))
    await server.stop()
    assert stops == [1]


async def test_a_server_may_start_again_after_a_stop() -> None:
    server = make_server()
    recorder = HookRecorder(server)
    server.on("say", lambda socket, data: data)
    for number in range(3):
        async with server, connect(server, "1") as peer:
            assert await peer.call("say", number) == number
            assert len(server.sockets) == 1
            async with raw_stream(server) as plain:
                assert (await plain.request(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200
        assert server.sockets == ()
        assert await nobody_listens(server)
    assert len(recorder.connected) == len(recorder.closes) == 3


async def test_clients_connect_only_after_on_start_has_ended() -> None:
    server, go, order = make_server(), asyncio.Event(), list[str]()

    @server.on_start
    async def prepare() -> None:
        order.append(f"port {server.port > 0}")
        await go.wait()
        order.append("prepared")

    server.on_connect(lambda: order.append("connect"))
    starting = asyncio.create_task(server.start())
    await wait_until(lambda: order)
    assert await nobody_listens(server)
    go.set()
    await starting
    await connected_once(server)
    await server.stop()
    assert order == ["port True", "prepared", "connect"]


async def test_clients_can_connect_once_on_listening_is_called() -> None:
    server, connected = make_server(), asyncio.Event()

    @server.on_listening
    async def connect_at_once() -> None:
        await connected_once(server)
        connected.set()

    async with server:
        await asyncio.wait_for(connected.wait(), 5)


async def test_on_listening_that_fails_is_logged_and_the_server_runs(caplog: pytest.LogCaptureFixture) -> None:
    server = make_server()

    @server.on_listening
    def fail() -> None:
        raise ConnectionError("no load balancer")

    async with server:
        await connected_once(server)
    assert "no load balancer" in caplog.text


async def test_without_a_port_nothing_listens() -> None:
    server, heard = make_server(), list[str]()
    server.on_start(lambda: heard.append("start"))
    server.on_listening(lambda: heard.append("listening"))
    await server.start(listen=False)
    await server.stop()
    assert heard == ["start"]


async def connected_once(server: Server) -> None:
    async with connect(server) as peer:
        await peer.rest()


@pytest.mark.parametrize("is_async", [False, True])
async def test_on_start_that_fails_leaves_nothing_behind(is_async: bool) -> None:
    server, broken, stops = make_server(), True, list[int]()

    def check() -> None:
        if broken:
            raise ConnectionError("no database")

    async def check_later() -> None:
        check()

    server.on_start(check_later if is_async else check)
    server.on_stop(lambda: stops.append(1))
    with pytest.raises(ConnectionError, match="no database"):
        await server.start()
    assert await nobody_listens(server)
    await server.stop()
    assert stops == []
    broken = False
    async with server:
        await connected_once(server)


@pytest.mark.skipif(sys.platform != "linux", reason="counts the descriptors of epoll")
async def test_a_port_that_is_taken_during_on_start_leaves_nothing_behind() -> None:
    server, thieves = make_server(), list[socket.socket]()

    def pollers() -> int:
        found = 0
        for name in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):  # of the directory itself
                found += os.readlink(f"/proc/self/fd/{name}").endswith("[eventpoll]")
        return found

    @server.on_start
    def steal() -> None:
        """Listen on the port, which the server has bound, but does not listen on yet."""
        thief = socket.socket()
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", server.port))
        thief.listen()
        thieves.append(thief)

    before = pollers()
    with pytest.raises(OSError, match="already in use"):
        await server.start()
    assert pollers() == before
    thieves[0].close()
    assert await nobody_listens(server)
    server.off("on_start")
    async with server:
        await connected_once(server)


async def test_a_start_that_is_cancelled_leaves_nothing_behind() -> None:
    server, begun, cancelled = make_server(), asyncio.Event(), list[int]()

    @server.on_start
    async def prepare() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(1)

    starting = asyncio.create_task(server.start())
    await begun.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert cancelled == [1]
    assert await nobody_listens(server)
    server.off("on_start")
    async with server:
        await connected_once(server)


async def test_async_with_stops_when_its_body_fails() -> None:
    server = make_server()

    async def body() -> None:
        async with server, connect(server) as peer:
            await peer.rest()
            raise KeyError

    with pytest.raises(KeyError):
        await body()
    assert server.sockets == ()
    assert await nobody_listens(server)


async def test_a_stop_closes_every_client_with_1001() -> None:
    server = make_server()
    recorder = HookRecorder(server)
    async with crowd(server, 5) as peers:
        await server.stop()
        for peer in peers:
            assert (await peer.closed()) == Close(1001, "the server is stopping")
    assert [close.code for _, close in recorder.closes] == [1001] * 5


async def test_a_handler_may_stop_the_server() -> None:
    server, stopped = make_server(), list[int]()

    @server.on("stop")
    async def stop() -> None:
        await server.stop()
        stopped.append(1)

    await server.start()
    async with connect(server) as peer:
        await peer.send("stop")
        assert (await peer.closed()).code == 1001
        await wait_until(lambda: stopped)
    await server.start()
    await server.stop()


@pytest.mark.parametrize("drain", [-1, float("nan")])
async def test_an_invalid_drain_is_refused(drain: float) -> None:
    server = make_server()
    async with server:
        with pytest.raises(UsageError):
            await server.stop(drain=drain)
        await connected_once(server)
