"""Large data, slow readers, and the order of messages."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from typing import Any

from crosswire import Limits, Socket
from tests.integration.server.support import TEXT, HookRecorder, connect, make_server, raw_connect
from tests.support.aio import wait_until
from tests.support.loops import on_every_loop

MIB = 1024 * 1024


@on_every_loop
async def test_a_client_that_does_not_read_is_dropped_and_others_are_served() -> None:
    server = make_server(limits=Limits(outbox=MIB))
    recorder = HookRecorder(server)
    async with server, connect(server, "good") as good, raw_connect(server, "deaf", receive_buffer=4096):
        deaf = recorder.connected[1]
        assert deaf.user == "deaf"
        most, sent = 0, 0
        chunk = "x" * 100_000
        while not recorder.closes:
            server.everyone.send("news", [sent, chunk])
            assert await good.event() == ("news", [sent, chunk])
            sent += 1
            most = max(most, deaf.buffered)
            assert sent < 500, "50 MB were sent to a client that does not read"
        assert most <= MIB + 200_000
        assert [(user, close.code) for user, close in recorder.closes] == [("deaf", 1013)]
        assert [socket.user for socket in server.sockets] == ["good"]
        assert deaf.buffered == 0


async def test_a_client_that_does_not_read_its_answers_is_dropped() -> None:
    server = make_server(limits=Limits(outbox=100_000))
    recorder = HookRecorder(server)
    server.on("big", lambda: "x" * 10_000)
    async with server, raw_connect(server, "1", receive_buffer=4096) as peer:

        async def ask_on() -> None:
            while not recorder.closes:
                peer.send_event("big", callbackId="a")
                await asyncio.sleep(0)

        await asyncio.wait_for(ask_on(), 20)
        assert recorder.closes[0][1].code == 1013


async def test_memory_of_a_client_that_does_not_read_is_bounded() -> None:
    server = make_server(limits=Limits(outbox=MIB))
    recorder = HookRecorder(server)
    async with server, raw_connect(server, "deaf", receive_buffer=4096):
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for number in range(3000):
                server.everyone.send("news", f"{number:05}" + "x" * 10_000)
                if number % 10 == 0:
                    await asyncio.sleep(0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await wait_until(lambda: recorder.closes)
        assert peak - before < 4 * MIB


@on_every_loop
async def test_a_client_that_reads_slowly_gets_everything_in_order() -> None:
    server = make_server(limits=Limits(outbox=64 * MIB))
    recorder = HookRecorder(server)
    count, size = 100, 100_000
    async with server, raw_connect(server, "slow", receive_buffer=4096) as peer:
        socket = recorder.connected[0]
        for number in range(count):
            # By all the ways there are, in one turn and in several.
            if number % 3 == 0:
                socket.send("n", [number, "x" * size])
            elif number % 3 == 1:
                server.everyone.send("n", [number, "x" * size])
            else:
                socket.send_raw(json.dumps({"event": "n", "payload": [number, "x" * size]}))
            if number % 7 == 0:
                await asyncio.sleep(0)
        socket.close(4000, "end")
        assert socket.buffered > 1_000_000  # the kernel could not take it all
        code, frames = await peer.until_close()
        assert code == 4000
        payloads = [json.loads(frame)["payload"] for frame in frames]
        assert [number for number, _ in payloads] == list(range(count))
        assert {text for _, text in payloads} == {"x" * size}


async def test_one_message_larger_than_the_outbox_is_sent() -> None:
    server = make_server(limits=Limits(outbox=10_000))
    recorder = HookRecorder(server)
    async with server, connect(server) as peer:
        for number in range(3):
            server.everyone.send("big", [number, "x" * 5_000_000])
            assert await peer.event() == ("big", [number, "x" * 5_000_000])
        assert recorder.closes == []


async def test_many_small_messages_of_one_turn_are_no_reason_to_drop_a_reader() -> None:
    server = make_server(limits=Limits(outbox=10_000))
    recorder = HookRecorder(server)
    async with server, connect(server) as peer:
        for number in range(2_000):
            server.everyone.send("n", number)
        assert [await peer.event() for _ in range(2_000)] == [("n", number) for number in range(2_000)]
        assert recorder.closes == []


@on_every_loop
async def test_large_messages_both_ways() -> None:
    server = make_server(limits=Limits(max_message=20 * MIB, outbox=64 * MIB))
    server.on("echo", lambda socket, data: data)
    async with server, connect(server) as peer:
        for size in (1, 65_536, 1_000_000, 10_000_000):
            text = "é" * size
            assert await peer.call("echo", text) == text


async def test_many_calls_in_flight_are_answered_in_order() -> None:
    server = make_server(limits=Limits(outbox=64 * MIB, handlers=2_000))
    server.on("sync", lambda socket, data: data)

    @server.on("async")
    async def later(socket: Socket, data: Any) -> Any:
        return data

    async with server, raw_connect(server) as peer:
        for event in ("sync", "async"):
            for number in range(2_000):
                peer.send_event(event, number, callbackId=str(number))
            answers = [await peer.frame() for _ in range(2_000)]
            assert answers == [(TEXT, b'{"payload":%d,"callbackId":"%d"}' % (n, n)) for n in range(2_000)]


async def test_messages_of_one_turn_arrive_in_order_however_they_were_sent() -> None:
    server = make_server()
    recorder = HookRecorder(server)
    async with server, connect(server, "1") as one, connect(server, "2") as two, connect(server, "3") as three:
        first, second, _ = recorder.connected
        await first.join("chat", "a")
        server.everyone.send("n", 0)
        first.send("n", 1)
        server.everyone.send("n", 2)
        server.room("chat", "a").send("n", 3)
        server.user("1").send("n", 4)
        await second.join("chat", "a")
        server.room("chat", "a").send("n", 5)
        await first.leave("chat", "a")
        server.room("chat", "a").send("n", 6)
        server.users(["1", "2"]).send("n", 7)
        await first.identify("one")
        server.user("1").send("n", 8)
        server.user("one").send("n", 9)
        server.everyone.send("n", 10, exclude=["2"])
        server.everyone.send("n", 11)
        second.send_raw('{"payload":12}')
        server.everyone.send("n", 13)
        second.close(4000)
        server.everyone.send("n", 14)
        assert [message["payload"] for message in await one.rest()] == [0, 1, 2, 3, 4, 5, 7, 9, 10, 11, 13, 14]
        assert [(await two.receive())["payload"] for _ in range(7)] == [0, 2, 5, 6, 7, 11, 12]
        assert (await two.receive())["payload"] == 13
        assert (await two.closed()).code == 4000
        assert [message["payload"] for message in await three.rest()] == [0, 2, 10, 11, 13, 14]


async def test_an_answer_comes_after_the_events_of_its_handler() -> None:
    server = make_server()

    @server.on("say")
    def say(socket: Socket, data: Any) -> Any:
        server.everyone.send("said", data)
        return data

    async with server, connect(server, "1") as peer, connect(server, "2") as other:
        for number in range(50):
            await peer.send("say", number, callbackId=str(number))
        for number in range(50):
            assert await peer.event() == ("said", number)
            assert (await peer.receive())["payload"] == number
        assert [message["payload"] for message in await other.rest()] == list(range(50))


async def test_mutable_data_is_sent_as_it_was_when_it_was_sent() -> None:
    server = make_server()
    async with server, connect(server) as peer:
        data = [1]
        server.everyone.send("n", data)
        data.append(2)
        server.everyone.send("n", data)
        data.clear()
        assert [message["payload"] for message in await peer.rest()] == [[1], [1, 2]]


async def test_a_client_that_never_stops_sending_is_answered_like_others() -> None:
    server = make_server()
    server.on("echo", lambda socket, data: data)
    async with server, raw_connect(server, "flood") as flood, connect(server, "calm") as calm:
        stop = False

        async def drain() -> None:
            while not stop:
                await flood.frame()

        async def pour() -> None:
            number = 0
            while not stop:
                number += 1
                flood.send_event("echo", number, callbackId="x")
                if number % 50 == 0:
                    await flood.writer.drain()
                    await asyncio.sleep(0)

        work = [asyncio.create_task(drain()), asyncio.create_task(pour())]
        for number in range(50):
            assert await calm.call("echo", number) == number
        stop = True
        await asyncio.gather(*work)
