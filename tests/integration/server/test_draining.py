"""``stop(drain=seconds)``."""

from __future__ import annotations

import asyncio
from math import inf

import pytest

from crosswire import Handshake, NotConnected, Server, Socket
from tests.integration.server.support import (
    HookRecorder,
    connect,
    crowd,
    make_server,
    nobody_listens,
    raw_connect,
    raw_stream,
    upgrade_request,
)
from tests.support.aio import wait_until


async def test_closing_is_spread_over_the_time() -> None:
    server = make_server()
    loop = asyncio.get_running_loop()
    async with crowd(server, 20) as peers:
        began, ends = loop.time(), list[float]()

        async def recorder(number: int) -> int:
            close = await peers[number].closed()
            ends.append(loop.time() - began)
            return close.code

        async def two_seconds() -> float:
            """Return how long they take here, step by step as a drain."""
            for _ in range(40):
                await asyncio.sleep(0.05)
            return loop.time() - began

        watching = [asyncio.create_task(recorder(number)) for number in range(20)]
        lasting = asyncio.create_task(two_seconds())
        await server.stop(drain=2)
        assert await asyncio.gather(*watching) == [1001] * 20
        assert max(ends) - min(ends) > 1
        assert max(ends) < await lasting + 2
        # All at once, or most of them at the end, would be no spreading.
        assert max(sum(1 for end in ends if low <= end < low + 0.4) for low in ends) < 10, ends


async def test_a_drain_ends_with_the_last_connection() -> None:
    server = make_server()
    loop = asyncio.get_running_loop()
    async with crowd(server, 1) as (peer,):
        began = loop.time()
        await server.stop(drain=60)
        assert (await peer.closed()).code == 1001
        assert loop.time() - began < 5


async def test_a_drain_may_have_infinite_time() -> None:
    server = make_server()
    async with crowd(server, 1) as (peer,):
        await server.stop(drain=inf)
        assert (await peer.closed()).code == 1001


async def test_a_drain_waits_for_handlers_and_their_answers() -> None:
    server, go, ended = make_server(), asyncio.Event(), list[str]()

    @server.on("slow")
    async def slow(socket: Socket) -> str:
        await go.wait()
        await asyncio.sleep(0.1)
        ended.append(socket.user)
        return "done"

    async with crowd(server, 2) as (busy, idle):
        await busy.send("slow", callbackId="x")
        assert await busy.rest() == []
        stopping = asyncio.create_task(server.stop(drain=3))
        assert (await idle.closed()).code == 1001
        go.set()
        assert await busy.receive() == {"payload": "done", "callbackId": "x"}
        assert (await busy.closed()).code == 1001
        await stopping
        assert ended == ["0"]


async def test_new_connections_are_refused_during_a_drain() -> None:
    server, go = make_server(), asyncio.Event()
    server.on("slow", lambda: go.wait())
    await server.start()
    # Their TCP connections are there, their requests are not yet.
    async with (
        raw_stream(server) as late,
        raw_stream(server) as probe,
        raw_stream(server) as other_probe,
        connect(server, "1") as busy,
    ):
        await busy.send("slow", callbackId="x")
        await busy.rest()
        stopping = asyncio.create_task(server.stop(drain=10))
        await asyncio.sleep(0)
        status, headers = await late.request(upgrade_request("/?id=2"))
        assert status == 503
        assert headers["retry-after"]
        assert (await probe.request(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 503
        assert (await other_probe.request(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200
        assert await nobody_listens(server)
        go.set()
        assert (await busy.receive())["payload"] is True
        await stopping


@pytest.mark.parametrize("drain", [0, 0.3])
async def test_a_handler_that_never_ends_is_cancelled(drain: float, caplog: pytest.LogCaptureFixture) -> None:
    server, cancelled = make_server(), list[int]()

    @server.on("endless")
    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    loop = asyncio.get_running_loop()
    async with crowd(server, 1) as (peer,):
        for _ in range(3):
            await peer.send("endless", callbackId="x")
        await peer.rest()
        began = loop.time()
        await server.stop(drain=drain)
        assert loop.time() - began < drain + 4
        assert cancelled == [1, 1, 1]
        assert (await peer.closed()).code == 1001
        own = asyncio.current_task()
        assert not [task for task in asyncio.all_tasks() if task is not own and "crosswire" in task.get_name()]
    assert "cancelled" in caplog.text


async def test_handlers_of_disconnected_clients_are_waited_for_too() -> None:
    server, go, ended = make_server(), asyncio.Event(), list[int]()

    @server.on("save")
    async def save() -> None:
        await go.wait()
        await asyncio.sleep(0.05)
        ended.append(1)

    await server.start()
    async with connect(server) as peer:
        await peer.send("save")
        await peer.rest()
    await wait_until(lambda: not server.sockets)
    stopping = asyncio.create_task(server.stop(drain=10))
    await asyncio.sleep(0)
    go.set()
    await stopping
    assert ended == [1]


async def test_on_disconnect_and_on_stop_have_run_when_it_returns() -> None:
    server, order = make_server(), list[str]()

    @server.on_disconnect
    async def gone(socket: Socket) -> None:
        await asyncio.sleep(0.05)
        order.append("disconnect")

    @server.on_stop
    async def stopped() -> None:
        await asyncio.sleep(0.05)
        order.append("stop")

    async with crowd(server, 2):
        await server.stop()
        assert order == ["disconnect", "disconnect", "stop"]


async def test_clients_that_do_not_answer_the_close_do_not_delay_the_stop() -> None:
    server = make_server()
    recorder = HookRecorder(server)
    loop = asyncio.get_running_loop()
    await server.start()
    async with raw_connect(server, "1") as peer, raw_connect(server, "2", receive_buffer=4096):
        for _ in range(50):
            server.user("2").send("big", "x" * 20_000)
        began = loop.time()
        await server.stop()
        assert loop.time() - began < 4
        assert (await peer.until_close())[0] == 1001
        await peer.gone()
        assert sorted(user for user, _ in recorder.closes) == ["1", "2"]
        assert {close.code for _, close in recorder.closes} == {1001}


async def test_clients_in_authentication_are_closed() -> None:
    server, cancelled = Server("test", port=0), list[int]()

    @server.authenticate
    async def who(handshake: Handshake) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(1)
            raise
        return "never"

    async with crowd(server, 1) as (peer,):
        assert await peer.is_told_nothing()
        await server.stop()
        assert (await peer.closed()).code == 1001
        assert cancelled == [1]


async def test_waiting_calls_end_with_the_server() -> None:
    server = make_server()
    recorder = HookRecorder(server)
    async with crowd(server, 1):
        call = asyncio.create_task(recorder.connected[0].call("ask", timeout=60))
        gathering = asyncio.create_task(server.everyone.gather("ask", timeout=60))
        await asyncio.sleep(0)
        await server.stop()
        with pytest.raises(NotConnected):
            await call
        assert (await gathering).missing == ("0",)
