"""An asynchronous ``authenticate`` or ``on_connect``: messages wait until they have ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
import websockets

from crosswire import Close, Handshake, Heartbeat, Limits, Reject, Server, Socket
from tests.integration.server.support import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    HookRecorder,
    Peer,
    connect,
    make_server,
    raw_connect,
)
from tests.support.aio import wait_until


class Gate:
    """An ``authenticate`` hook that waits for the test to say who the client is."""

    def __init__(self, server: Server) -> None:
        server.authenticate(self.ask)
        self.asked = 0
        self.cancelled = 0
        self._answer: asyncio.Future[Any] | None = None
        self.first: asyncio.Future[Any]

    async def ask(self, handshake: Handshake) -> Any:
        self.asked += 1
        self._answer = asyncio.get_running_loop().create_future()
        if self.asked == 1:
            self.first = self._answer
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def answer(self, value: Any) -> None:
        assert self._answer is not None
        if isinstance(value, BaseException):
            self._answer.set_exception(value)
        else:
            self._answer.set_result(value)


def gated(**options: Any) -> tuple[Server, Gate, list[Any]]:
    server, seen = Server("test", port=0, **options), list[Any]()
    gate = Gate(server)
    server.on_connect(lambda socket: seen.append(f"connect {socket.user}"))

    @server.on("say")
    def say(socket: Socket, data: Any) -> Any:
        seen.append(data)
        return [socket.user, data]

    return server, gate, seen


async def test_messages_wait_and_are_delivered_in_order() -> None:
    server, gate, seen = gated()
    async with server, connect(server) as peer:
        for number in range(20):
            await peer.send("say", number, callbackId=str(number))
        assert await peer.is_told_nothing()
        assert (seen, server.sockets, gate.asked) == ([], (), 1)
        gate.answer("7")
        for number in range(20):
            assert await peer.receive() == {"payload": ["7", number], "callbackId": str(number)}
        assert seen == ["connect 7", *range(20)]
        assert await peer.call("say", "later") == ["7", "later"]


async def test_a_socket_that_is_not_let_in_yet_is_in_no_audience() -> None:
    server, gate, _ = gated()
    async with server, connect(server) as peer:
        assert await peer.is_told_nothing()
        server.everyone.send("secret")
        server.everyone.send("secret", local=True)
        assert await server.everyone.count() == 0
        assert await peer.is_told_nothing()
        gate.answer("7")
        await wait_until(lambda: server.sockets)
        server.everyone.send("public")
        assert await peer.event() == ("public", None)


@pytest.mark.parametrize(
    ("verdict", "close"),
    [
        (Reject(4011, "Auth failure"), Close(4011, "Auth failure")),
        (Reject(status=401), Close(4011, "")),
        (ValueError("sesame"), Close(1011, "authentication failed")),
        (asyncio.CancelledError(), Close(1011, "authentication failed")),
        (5, Close(1011, "authentication failed")),
        ("", Close(1011, "authentication failed")),
    ],
    ids=repr,
)
async def test_a_verdict_that_lets_nobody_in_closes(verdict: Any, close: Close) -> None:
    server, gate, seen = gated()
    recorder = HookRecorder(server)
    async with server, connect(server) as peer:
        await peer.send("say", 1, callbackId="x")
        assert await peer.is_told_nothing()
        gate.answer(verdict)
        assert await peer.closed() == close
        assert (seen, server.sockets, recorder.closes) == ([], (), [])
        with pytest.raises(websockets.ConnectionClosed):
            await peer.receive()


async def test_a_hook_that_takes_too_long_closes_the_connection() -> None:
    server, gate, seen = gated(limits=Limits(auth_timeout=0.05))
    async with server, connect(server) as peer:
        with suppress(websockets.ConnectionClosed):  # if the time is over already
            await peer.send("say", 1)
        assert await peer.closed() == Close(1013, "authentication took too long")
        assert (seen, gate.cancelled) == ([], 1)


async def test_a_timeout_of_the_hooks_own_is_its_failure() -> None:
    server = Server("test", port=0)

    @server.authenticate
    async def who(handshake: Handshake) -> str:
        raise TimeoutError

    async with server, connect(server) as peer:
        assert (await peer.closed()).code == 1011


async def test_a_client_that_disconnects_cancels_the_hook() -> None:
    server, gate, seen = gated()
    recorder = HookRecorder(server)
    async with server:
        async with connect(server) as peer:
            assert await peer.is_told_nothing()
            assert gate.cancelled == 0
        await wait_until(lambda: gate.cancelled == 1)
        async with raw_connect(server) as raw:
            raw.writer.transport.abort()
        await wait_until(lambda: gate.cancelled == 2)
        assert (seen, recorder.closes, recorder.errors) == ([], [], [])


@pytest.mark.parametrize("size", [0, 100, 100_000])
async def test_a_burst_of_any_length_waits_and_nothing_is_lost(size: int) -> None:
    server, gate, seen = gated(limits=Limits(max_message=200_000), heartbeat=Heartbeat(interval=0.2, timeout=0.2))
    count = 10_000_000 // max(size, 5000)
    async with server, connect(server) as peer, connect(server) as other:
        sending = asyncio.create_task(send_all(peer, [[number, "x" * size] for number in range(count)]))
        for _ in range(20):  # so long that a peer that is silent for it would be taken for dead
            await asyncio.sleep(0.05)
            assert await other.is_told_nothing()
        assert seen == []
        gate.first.set_result("7")
        await wait_until(lambda: len(seen) > count, 30)
        await sending
        assert [number for number, _ in seen[1:]] == list(range(count))
        assert await peer.call("say", "later") == ["7", "later"]


async def send_all(peer: Peer, payloads: list[Any]) -> None:
    for payload in payloads:
        await peer.send("say", payload)


async def test_a_burst_into_slow_handlers_is_not_refused_as_busy() -> None:
    server, gate, _ = gated(limits=Limits(handlers=5))
    recorder, done = HookRecorder(server), list[int]()

    @server.on("slow")
    async def slow(socket: Socket, data: int) -> None:
        await asyncio.sleep(0.001)
        done.append(data)

    async with server, connect(server) as peer:
        for number in range(500):
            await peer.send("slow", number)
        assert await peer.is_told_nothing()
        gate.answer("7")
        await wait_until(lambda: len(done) == 500)
        assert (done, recorder.errors) == (list(range(500)), [])


@pytest.mark.parametrize("query", ["1", "1&_cw=1"])
async def test_heartbeats_and_pongs_before_a_client_is_let_in_reach_nobody(query: str) -> None:
    server, gate, seen = gated(heartbeat=Heartbeat(interval=0.1, timeout=0.1))
    server.on_heartbeat(lambda: seen.append("heartbeat"))
    server.on_pong(lambda: seen.append("pong"))
    server.on_message(lambda: seen.append("message"))
    async with server, raw_connect(server, query) as peer:
        for _ in range(10):
            peer.send(TEXT, b"")
            peer.send(PONG, b"x")
        peer.send_event("say", 1)
        for _ in range(5):  # longer than the interval of the server's own Pings
            peer.send(PING, b"all")
            assert await peer.frame() == (PONG, b"all")
            await asyncio.sleep(0.05)
        assert seen == []
        gate.answer("1")
        frames = [await peer.frame() for _ in range(2 if "_cw" in query else 1)]
        assert frames[-1] == (TEXT, b"")  # one echo for all of them
        await wait_until(lambda: 1 in seen)
        assert "heartbeat" not in seen


async def test_events_wait_for_an_asynchronous_on_connect() -> None:
    server, go, order = make_server(), asyncio.Event(), list[str]()

    @server.on_connect
    async def greet(socket: Socket) -> None:
        order.append("begin")
        await go.wait()
        await socket.join("chat", "1")
        socket.send("welcome")
        order.append("end")

    @server.on("say")
    def say(socket: Socket) -> Any:
        order.append("say")
        return sorted(socket.rooms)

    async with server, connect(server, "1") as peer:
        await peer.send("say", callbackId="x")
        assert await peer.rest() == []
        assert order == ["begin"]
        # It has a user already, so what is sent to it arrives.
        server.user("1").send("meanwhile")
        assert await peer.event() == ("meanwhile", None)
        go.set()
        assert await peer.event() == ("welcome", None)
        assert await peer.receive() == {"payload": ["chat"], "callbackId": "x"}
        assert order == ["begin", "end", "say"]


async def test_on_connect_that_takes_too_long_is_cancelled_and_the_connection_closed() -> None:
    server, order = make_server(limits=Limits(auth_timeout=0.1)), list[Any]()
    recorder = HookRecorder(server)
    server.on("say", lambda: order.append("say"))
    server.on_disconnect(lambda socket, close: order.append(close.code))

    @server.on_connect
    async def greet(socket: Socket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            order.append("cancelled")

    async with server, connect(server, path="/?_cw=1") as peer:
        with suppress(websockets.ConnectionClosed):  # if the time is over already
            await peer.send("say", 5)
        assert await peer.closed() == Close(1013, "on_connect took too long")
        await wait_until(lambda: recorder.closes)
        assert order == ["cancelled", 1013]
        assert [str(error) for error in recorder.errors] == [
            "on_connect did not end within Limits.auth_timeout, which is 0.1 s"
        ]


@pytest.mark.parametrize("is_async", [False, True])
async def test_on_connect_may_reject(is_async: bool) -> None:
    server = make_server()
    recorder = HookRecorder(server)

    def reject() -> None:
        raise Reject(4403, "not here")

    async def reject_later() -> None:
        await asyncio.sleep(0)
        reject()

    server.on_connect(reject_later if is_async else reject)
    async with server, connect(server, "1") as peer:
        assert await peer.closed() == Close(4403, "not here")
        assert server.sockets == ()
        assert [user for user, _ in recorder.closes] == ["1"]


async def test_on_connect_that_fails_lets_the_client_in() -> None:
    server = make_server()
    recorder = HookRecorder(server)

    @server.on_connect
    async def fail() -> None:
        raise ValueError("x")

    server.on("say", lambda: 1)
    async with server, connect(server) as peer:
        assert await peer.call("say") == 1
        assert [type(error) for error in recorder.errors] == [ValueError]


async def test_what_on_connect_sends_arrives_right_after_the_101() -> None:
    server = make_server()

    @server.on_connect
    def greet(socket: Socket) -> None:
        socket.send("one", "x" * 10)
        socket.send("two", "y" * 100_000)
        socket.close(4000, "done")

    async with server, raw_connect(server) as peer:
        assert await peer.frame() == (TEXT, b'{"event":"one","payload":"xxxxxxxxxx"}')
        assert await peer.frame() == (TEXT, b'{"event":"two","payload":"' + b"y" * 100_000 + b'"}')
        assert await peer.frame() == (CLOSE, (4000).to_bytes(2, "big") + b"done")
