"""Sending from other threads than the event loop's."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from crosswire import Client, Compat, InvalidPayload, MemoryBus, Node, NotConnected, Redis, Server, Socket, UsageError
from crosswire.cluster.interface import Bus
from tests.integration.cluster.support import (
    RecordingHandler,
    client,
    clients,
    connection_of,
    make_server,
    received,
    running,
    running_nodes,
    running_servers,
)
from tests.support.aio import wait_until

THREADS, MESSAGES = 8, 200


def socket_of(server: Server, user: str) -> Socket:
    socket = server.socket_of(user)
    assert socket is not None
    return socket


@pytest.mark.parametrize("loop", [False, True], ids=["no loop", "a loop of its own"])
async def test_a_threads_messages_arrive_in_order_whatever_they_are_for(bus: Bus, loop: bool) -> None:
    async with running_servers(bus, "a", "b") as (a, b), clients({"1": a, "2": b}) as peers:
        await peers["1"].call("join", ["r", "1"])
        await peers["2"].call("join", ["r", "1"])
        socket = socket_of(a, "1")

        def work() -> None:
            for number in range(MESSAGES):
                a.everyone.send("x", [number, "everyone"])
                a.user("1").send("x", [number, "user"])
                a.room("r", "1").send("x", [number, "room"])
                socket.send("x", [number, "socket"])
                a.users(["2", "1"]).send("x", [number, "users"])
                a.everyone.send("x", [number, "local"], local=True)

        async def work_on_loop() -> None:
            work()

        await asyncio.to_thread(asyncio.run, work_on_loop()) if loop else await asyncio.to_thread(work)
        a.everyone.send("end")  # after what the thread sent before it returned
        kinds = {"1": ["everyone", "user", "room", "socket", "users", "local"], "2": ["everyone", "room", "users"]}
        for user, peer in peers.items():
            expected = [("x", [number, kind]) for number in range(MESSAGES) for kind in kinds[user]]
            if user == "1":
                assert await received(peer) == expected
            else:  # over the bus only messages to one audience keep their order
                got = await received(peer)
                for kind in kinds[user]:
                    assert [each for each in got if each[1][1] == kind] == [e for e in expected if e[1][1] == kind]


async def test_many_threads_send_at_the_same_time(bus: Bus) -> None:
    async with running_servers(bus, "a", "b") as (a, b), client(b, "1") as peer:
        await peer.call("join", ["r", "1"])
        together = threading.Barrier(THREADS, timeout=20)

        def work(thread: int) -> None:
            together.wait()
            for number in range(MESSAGES):
                a.room("r", "1").send("x", [thread, number])

        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(THREADS) as pool:
            await asyncio.gather(*(loop.run_in_executor(pool, work, thread) for thread in range(THREADS)))
        a.room("r", "1").send("end")
        got = [data for _, data in await received(peer)]
        for thread in range(THREADS):
            assert [number for sender, number in got if sender == thread] == list(range(MESSAGES))
        assert len(got) == THREADS * MESSAGES


async def test_data_is_taken_when_the_thread_sends(bus: Bus) -> None:
    async with running_servers(bus, "a") as (a,), running_nodes(bus, "n") as (n,), client(a, "1") as peer:
        heard = RecordingHandler()
        a.cluster.on("x", heard)
        await a.cluster.subscribe("c", heard)
        socket = socket_of(a, "1")

        def work() -> None:
            data: dict[str, Any] = {"number": 0}
            a.user("1").send("x", data)
            data["number"] = 1
            socket.send("x", data)
            raw = bytearray(b'{"event": "raw", "payload": 1}')
            socket.send_raw(raw)  # type: ignore[arg-type]
            raw[-2:-1] = b"2"
            data["number"] = 2
            n.send("x", data)
            data["number"] = 3
            n.publish("c", data)
            data["number"] = 4

        await asyncio.to_thread(work)
        assert [(await peer.receive("x")).data for _ in range(2)] == [{"number": 0}, {"number": 1}]
        assert (await peer.receive("raw")).data == 1
        await wait_until(lambda: len(heard.calls) == 2)
        assert heard.calls == [("n", {"number": 2}), ("n", {"number": 3})]


async def test_what_can_not_be_sent_raises_in_the_thread(bus: Bus) -> None:
    async with running_servers(bus, "a") as (a,), client(a, "1") as peer:
        socket, node = socket_of(a, "1"), a.cluster

        def work() -> None:
            for wrong in (a.everyone.send, socket.send, node.send, node.publish):
                with pytest.raises(InvalidPayload):
                    wrong("x", object())
                with pytest.raises(UsageError):
                    wrong("")
            with pytest.raises(UsageError):
                a.everyone.send("x", exclude="1")
            with pytest.raises(InvalidPayload):
                socket.send_raw("\ud800")
            with pytest.raises(UsageError):
                socket.close(1)

        await asyncio.to_thread(work)
        a.everyone.send("end")
        assert await received(peer) == []


async def test_a_thread_sends_frames_of_its_own_and_closes_a_socket() -> None:
    server = Server(port=0)
    async with running(server):
        pass
    await server.start()
    try:
        raw: list[str | bytes] = []
        async with Client(f"ws://127.0.0.1:{server.port}") as peer:
            peer.on_message(raw.append)
            socket = next(iter(server.sockets))

            def work() -> None:
                socket.send_raw("text")
                socket.send_raw(b"\x00\x01")
                socket.close(4001, "from a thread")

            closes: list[Any] = []
            peer.on_close(closes.append)
            await asyncio.to_thread(work)
            await wait_until(lambda: closes)
            assert raw == ["text", b"\x00\x01"]
            assert (closes[0].code, closes[0].reason) == (4001, "from a thread")
            await asyncio.to_thread(socket.send, "x")  # to a closed socket it does nothing
    finally:
        await server.stop()


async def test_a_def_endpoint_of_fastapi_just_sends() -> None:
    server, application = make_server("a", MemoryBus()), FastAPI()

    @application.post("/remind/{user}")
    def remind(user: str, number: int) -> dict[str, int]:  # FastAPI calls it in a thread
        assert threading.current_thread() is not threading.main_thread()
        server.user(user).send("reminder", number)
        server.everyone.send("reminded", user)
        return {"number": number}

    async with running(server), client(server, "1") as peer:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            for number in range(10):
                assert (await http.post(f"/remind/1?number={number}")).json() == {"number": number}
                server.everyone.send("answered", number)
        for number in range(10):
            events = [await peer.receive() for _ in range(3)]
            expected = [("reminder", number), ("reminded", "1"), ("answered", number)]
            assert [(event.event, event.data) for event in events] == expected


async def test_what_was_sent_before_the_stop_arrives_and_later_messages_raise(bus: Bus) -> None:
    a, b, n = make_server("a", bus), make_server("b", bus), Node("n", bus=bus)
    errors: list[BaseException] = []
    sent: list[int] = []
    begun = threading.Event()

    def work() -> None:
        number = 0
        try:
            while True:
                n.user("1").send("x", number)
                sent.append(number)
                number += 1
                begun.set()
        except NotConnected as error:
            errors.append(error)

    async with running(a, b), client(b, "1") as peer:
        async with running(n):
            thread = threading.Thread(target=work)
            thread.start()
            await wait_until(begun.is_set)
        await asyncio.to_thread(thread.join)
        a.user("1").send("end")
        assert [data for _, data in await received(peer)] == sent
        assert len(errors) == 1
        assert connection_of(a).port.gaps == 0
        for send in (n.everyone.send, n.send, n.publish):
            with pytest.raises(NotConnected):
                await asyncio.to_thread(lambda: send("x"))  # noqa: B023
    with pytest.raises(NotConnected):
        await asyncio.to_thread(a.everyone.send, "x")


async def test_a_socket_of_a_stopped_server_takes_nothing() -> None:
    server = make_server("a", MemoryBus())
    async with running(server), client(server, "1"):
        socket = socket_of(server, "1")
    for call in (socket.close, lambda: socket.send("x"), lambda: socket.send_raw("x")):
        with pytest.raises(NotConnected):
            await asyncio.to_thread(call)


async def test_before_the_start_a_thread_can_not_send() -> None:
    server = Server(port=0)
    for send in (server.everyone.send, server.cluster.send, server.cluster.publish):
        with pytest.raises(NotConnected, match="started"):
            await asyncio.to_thread(lambda: send("x"))  # noqa: B023


async def test_what_the_buffer_refuses_later_is_logged_and_counted(
    redis_bus: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    bus = Redis("redis://127.0.0.1:1", buffer=1000, overflow="raise")
    node = Node("n", bus=bus)
    await node.start()
    try:
        with caplog.at_level(logging.WARNING):

            def work() -> None:
                for _ in range(3):
                    node.user("1").send("x", "." * 600)

            await asyncio.to_thread(work)
        assert node.dropped == 2
        assert "another thread" in caplog.text
    finally:
        await node.stop()


@pytest.mark.parametrize("compress", [True, False])
async def test_among_original_servers_it_is_the_same(redis_bus: Redis, compress: bool) -> None:
    bus = Redis(redis_bus.urls, prefix=redis_bus.prefix, compat=Compat(compress=compress))
    async with running_servers(bus, "a", "b") as (a, b), client(b, "1") as peer:
        heard = RecordingHandler()
        b.cluster.on("x", heard)

        def work() -> None:
            with pytest.raises(UsageError, match="original"):
                a.everyone.send("x", exclude=["2"])
            with pytest.raises(InvalidPayload):
                a.cluster.send("x", 2**60)
            a.user("1").send("x", {"text": "ü"})
            a.cluster.send("x", {"text": "ü"}, to="b")

        await asyncio.to_thread(work)
        assert (await peer.receive()).data == {"text": "ü"}
        await wait_until(lambda: heard.calls == [("a", {"text": "ü"})])
