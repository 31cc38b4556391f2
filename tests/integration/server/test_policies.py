"""Events with a policy, to real clients that do not read for a while, and clients that take next to nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from crosswire import Limits, MemoryBus, Node, Server, Socket
from crosswire.errors import ConfigError, InvalidPayload, UsageError
from tests.integration.server.support import HookRecorder, RawPeer, connect, make_server, raw_connect, raw_stream
from tests.support.aio import wait_until
from tests.support.loops import on_every_loop
from tests.support.scrapes import scrape

LIMITS = Limits(outbox=400_000)
FILL = "x" * 10_000
PAUSED = 100_000
"""Bytes that wait where the event loop's transport is full for certain."""


class SlowClient:
    """A client that has not read for a while, and its socket on the server."""

    def __init__(self, peer: RawPeer, socket: Socket) -> None:
        self.peer = peer
        self.socket = socket

    async def fall_behind(self) -> None:
        """Send to it until bytes wait in its outbox."""
        while self.socket.buffered < PAUSED:
            self.socket.send("fill", FILL)
            await asyncio.sleep(0)

    async def read(self) -> list[Any]:
        """Read until the event "end" comes; return the data of all others, without those that filled the outbox."""
        received: list[Any] = []
        while True:
            _, payload = await self.peer.frame()
            message = json.loads(payload)
            if message.get("event") == "end":
                return received
            if message.get("event") != "fill":
                received.append(message["payload"])


@asynccontextmanager
async def slow_client(server: Server, user: str = "slow") -> AsyncIterator[SlowClient]:
    """Connect a client that does not read, and send to it until messages wait."""
    async with raw_connect(server, user, receive_buffer=65536) as peer:
        await wait_until(lambda: server.socket_of(user) is not None)
        socket = server.socket_of(user)
        assert socket is not None
        client = SlowClient(peer, socket)
        await client.fall_behind()
        yield client


async def skipped_by(node: Node) -> dict[str, int]:
    """Return what a node has skipped, by event."""
    return (await node.status())[node.name].skipped


Send = Callable[[str, Any], None]
WAYS: dict[str, Callable[[Server, Socket], Send]] = {
    "everyone": lambda server, socket: server.everyone.send,
    "everyone but one": lambda server, socket: lambda event, data: server.everyone.send(event, data, exclude=["other"]),
    "room": lambda server, socket: server.room("shop", "1").send,
    "user": lambda server, socket: server.user("slow").send,
    "users": lambda server, socket: server.users(["slow", "other"]).send,
    "local": lambda server, socket: lambda event, data: server.everyone.send(event, data, local=True),
    "socket": lambda server, socket: socket.send,
}


@on_every_loop
@pytest.mark.parametrize("way", WAYS)
async def test_only_the_newest_price_of_each_item_waits(way: str) -> None:
    server = make_server(limits=LIMITS)
    server.policy("price", "latest", key="item")
    async with server, connect(server, "healthy") as healthy, slow_client(server) as client:
        await client.socket.join("shop", "1")
        await next(iter(server.sockets)).join("shop", "1")
        send = WAYS[way](server, client.socket)
        for number in range(500):
            send("price", {"item": number % 2, "n": number})
            if number == 250:
                send("sold", "between")
        client.socket.send("end")
        assert client.socket.is_open
        prices = [each for each in await client.read() if each != "between"]
        assert prices == [{"item": 0, "n": 498}, {"item": 1, "n": 499}]
        assert await skipped_by(server.cluster) == {"price": 498}
        if way.startswith(("everyone", "room", "local")):
            events = [await healthy.event() for _ in range(501)]
            assert [data["n"] for name, data in events if name == "price"] == list(range(500))
        send("price", {"item": 0, "n": 500})
        client.socket.send("end")
        assert await client.read() == [{"item": 0, "n": 500}], "it reads again, and gets everything"


async def test_each_policy_does_what_it_says() -> None:
    server = make_server(limits=LIMITS)
    server.policy("cursor", "volatile")
    server.policy("log", "drop-oldest")
    server.policy("vote", "drop-newest")
    async with server, slow_client(server) as client:
        for number in range(2000):
            server.everyone.send("log", ["log", number])
            server.everyone.send("cursor", ["cursor", number])
        for number in range(2000):
            server.everyone.send("vote", ["vote", number])
        await asyncio.sleep(0)
        client.socket.send("end")
        assert client.socket.is_open
        received = await client.read()
        votes = [number for name, number in received if name == "vote"]
        logs = [number for name, number in received if name == "log"]
        skipped = await skipped_by(server.cluster)
    assert votes == list(range(len(votes)))
    assert logs == list(range(2000))[2000 - len(logs) :]
    assert len(votes) + len(logs) == len(received)
    assert skipped == {"cursor": 2000, "vote": 2000 - len(votes), "log": 2000 - len(logs)}


async def test_a_message_without_a_policy_closes_the_connection_only_after_those_that_may_be_dropped() -> None:
    server = make_server(limits=LIMITS)
    recorder = HookRecorder(server)
    async with server, slow_client(server) as client:
        for number in range(1000):
            client.socket.send("log", number, policy="drop-oldest")
        full = client.socket.buffered
        for _ in range(20):
            client.socket.send("fill", FILL)
        await asyncio.sleep(0)
        assert client.socket.is_open
        assert (await skipped_by(server.cluster))["log"] > 500
        assert full < LIMITS.outbox
        while client.socket.is_open:
            client.socket.send("fill", FILL)
            await asyncio.sleep(0)
        await wait_until(lambda: recorder.closes)
        assert recorder.closes[0][1].code == 1013


async def test_answers_and_calls_are_never_dropped() -> None:
    server = make_server(limits=LIMITS)
    server.policy("ask", "volatile")
    server.on("ask", lambda socket, data: data)
    async with server, slow_client(server) as client:
        client.peer.send_event("ask", 1, callbackId="a")
        calling = asyncio.create_task(client.socket.call("ask", 2))
        asking = asyncio.create_task(server.everyone.gather("ask", 3))
        await asyncio.sleep(0.05)
        client.socket.send("end")
        assert sorted(await client.read()) == [1, 2, 3]
        for task in (calling, asking):
            task.cancel()
        await asyncio.gather(calling, asking, return_exceptions=True)


@pytest.mark.parametrize("sender", ["server", "worker", "send"])
async def test_the_policy_travels_over_the_bus(sender: str) -> None:
    bus = MemoryBus()
    server = make_server(bus=bus, limits=LIMITS)
    other: Server | Node = Server("other", port=0, bus=bus) if sender == "server" else Node("worker", bus=bus)
    if sender != "send":
        other.policy("price", "latest", key="item")
        other.policy("cursor", "volatile")
    explicit: dict[str, dict[str, Any]] = {
        "price": {"policy": "latest", "key": "item"} if sender == "send" else {},
        "cursor": {"policy": "volatile"} if sender == "send" else {},
    }
    async with server, other, slow_client(server) as client:
        await client.socket.join("shop", "1")
        for number in range(300):
            for audience in (other.everyone, other.room("shop", "1"), other.user("slow")):
                audience.send("price", {"item": number % 2, "n": number}, **explicit["price"])
                audience.send("cursor", number, **explicit["cursor"])
        other.user("slow").send("end")
        assert sorted(each["n"] for each in await client.read()) == [298, 299]
        assert await skipped_by(server.cluster) == {"price": 898, "cursor": 900}


async def test_another_program_sends_with_a_policy_over_http() -> None:
    server = make_server(limits=LIMITS, publish_key="a-long-key")
    async with server, slow_client(server) as client, raw_stream(server) as poster:
        prices = [
            {"event": "price", "data": {"item": 1, "n": number}, "everyone": True, "policy": "latest", "key": "item"}
            for number in range(100)
        ]
        assert await post(poster, prices) == 200
        client.socket.send("end")
        assert await client.read() == [{"item": 1, "n": 99}]
    for wrong in ({"policy": "newest"}, {"key": "item"}, {"policy": "latest", "key": "other"}):
        async with server, raw_stream(server) as poster:
            assert await post(poster, [{"event": "price", "data": {"item": 1}, "everyone": True, **wrong}]) == 422


async def post(poster: RawPeer, messages: list[dict[str, Any]]) -> int:
    """Post messages to the publish endpoint; return the status."""
    body = json.dumps(messages).encode()
    head = (
        f"POST /publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a-long-key\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    status, _ = await poster.request(head.encode() + body)
    return status


async def test_what_was_skipped_is_a_metric_by_event_and_policy() -> None:
    server = make_server(limits=LIMITS, metrics=True)
    server.policy("price", "latest")
    async with server, slow_client(server) as client:
        for number in range(10):
            client.socket.send("price", number)
            client.socket.send("cursor", number, policy="volatile")
        now = await scrape(server.port)
    assert now.value("crosswire_messages_skipped_total", event="price", policy="latest") == 9
    assert now.value("crosswire_messages_skipped_total", event="cursor", policy="volatile") == 10


async def test_another_thread_sends_with_a_policy_too() -> None:
    server = make_server(limits=LIMITS)
    server.policy("price", "latest", key="item")
    async with server, slow_client(server) as client:
        socket = client.socket

        def send() -> None:
            for number in range(100):
                server.everyone.send("price", {"item": 1, "n": number})
                socket.send("price", {"item": 2, "n": number})
            with pytest.raises(InvalidPayload):
                server.everyone.send("price", {"n": 1})
            with pytest.raises(InvalidPayload):
                socket.send("price", {"n": 1})

        await asyncio.to_thread(send)
        await asyncio.sleep(0)
        socket.send("end")
        assert await client.read() == [{"item": 1, "n": 99}, {"item": 2, "n": 99}]


async def test_misuse_raises_at_once() -> None:
    server = make_server()
    with pytest.raises(ConfigError):
        server.policy("price", "newest")  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        server.policy("price", "volatile", key="item")
    with pytest.raises(UsageError):
        server.policy("", "volatile")
    async with server, connect(server, "1"):
        for send in (server.everyone.send, next(iter(server.sockets)).send):
            with pytest.raises(UsageError):
                send("price", 1, policy="newest")  # type: ignore[arg-type]
            with pytest.raises(UsageError):
                send("price", {"item": 1}, key="item")
            with pytest.raises(InvalidPayload):
                send("price", {"other": 1}, policy="latest", key="item")


# Limits.outbox_time


async def slow_reading(peer: RawPeer, size: int, interval: float) -> None:
    """Read some bytes in each interval, until the end."""
    while await peer.reader.read(size):  # noqa: ASYNC110 - it is slow
        await asyncio.sleep(interval)


@pytest.mark.parametrize("reads", ["nothing", "a byte a second"])
@on_every_loop
async def test_a_client_that_takes_next_to_nothing_is_dropped_below_its_limit(reads: str) -> None:
    server = make_server(limits=Limits(outbox=64_000_000, outbox_time=1))
    recorder = HookRecorder(server)
    async with server, connect(server, "healthy") as healthy, slow_client(server) as client:
        began = time.monotonic()
        reading = asyncio.create_task(slow_reading(client.peer, 1, 1) if reads != "nothing" else asyncio.sleep(0))
        await wait_until(lambda: recorder.closes, timeout=10)
        assert time.monotonic() - began >= 0.9
        assert recorder.closes[0][0] == "slow"
        assert recorder.closes[0][1].code == 1013
        assert "next to nothing" in recorder.closes[0][1].reason
        reading.cancel()
        await healthy.send("any")
        server.everyone.send("still")
        assert await healthy.event() == ("still", None)


async def test_a_client_on_a_slow_network_is_not_dropped() -> None:
    server = make_server(limits=Limits(outbox=64_000_000, outbox_time=1))
    recorder = HookRecorder(server)
    async with server, slow_client(server) as client:
        reading = asyncio.create_task(slow_reading(client.peer, 20_000, 0.1))
        await asyncio.sleep(3)
        assert not recorder.closes
        assert client.socket.buffered
        reading.cancel()


async def test_a_client_with_little_waiting_is_dropped_too() -> None:
    server = make_server(limits=Limits(outbox_time=1))
    recorder = HookRecorder(server)
    async with server, raw_connect(server, "slow", receive_buffer=4096):
        (socket,) = server.sockets
        while not socket.buffered:  # a part of one message, which does not pause anything
            socket.send("fill", "x" * 1000)
            await asyncio.sleep(0)
        assert socket.buffered < 64 * 1024
        await wait_until(lambda: recorder.closes, timeout=10)
        assert recorder.closes[0][1].code == 1013
