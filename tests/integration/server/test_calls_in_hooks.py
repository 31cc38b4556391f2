"""Calls in hooks and handlers, whose answers must not wait for the hook or handler itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crosswire import Handshake, Heartbeat, Limits, Server, Socket
from tests.integration.server.support import Peer, connect, make_server
from tests.support.aio import wait_until

Wait = Callable[[Server, Socket], Awaitable[Any]]


async def whoami(server: Server, socket: Socket) -> Any:
    return await socket.call("whoami", timeout=5)


async def whoami_as_user(server: Server, socket: Socket) -> Any:
    return (await server.user(socket.user).gather("whoami", timeout=5))[socket.user]


async def whoami_as_everyone(server: Server, socket: Socket) -> Any:
    return (await server.everyone.gather("whoami", timeout=5))[socket.user]


async def whoami_as_room(server: Server, socket: Socket) -> Any:
    await socket.join("chat", "1")
    return (await server.room("chat", "1").gather("whoami", timeout=5))[socket.user]


async def whoami_under_another_name(server: Server, socket: Socket) -> Any:
    await socket.identify("another")
    return await socket.call("whoami", timeout=5)


waits = pytest.mark.parametrize(
    "wait", [whoami, whoami_as_user, whoami_as_everyone, whoami_as_room, whoami_under_another_name]
)


async def answer(peer: Peer, value: Any) -> None:
    """Answer the server's call, which has to be the next message."""
    asked = await peer.receive()
    assert asked["event"] == "whoami", asked
    await peer.ws.send(f'{{"callId": "{asked["callId"]}", "payload": "{value}"}}')


@waits
@pytest.mark.parametrize("authenticate", ["sync", "async"])
async def test_a_call_in_on_connect_is_answered_though_events_wait(wait: Wait, authenticate: str) -> None:
    server, order = Server("test", port=0), list[Any]()

    @server.authenticate
    async def later(handshake: Handshake) -> str:
        await asyncio.sleep(0)
        return "1"

    if authenticate == "sync":
        server = make_server()

    @server.on_connect
    async def ask(socket: Socket) -> None:
        order.append(await wait(server, socket))

    server.on("say", lambda socket, data: order.append(data))
    server.on_message(lambda socket, raw: order.append("message"))
    async with server, connect(server, "1") as peer:
        await peer.send("say", "first")
        await answer(peer, "me")
        await peer.send("say", "second")
        await wait_until(lambda: len(order) == 6)
        assert order == ["me", "message", "first", "message", "message", "second"]


async def test_several_calls_in_on_connect_are_answered_one_after_the_other() -> None:
    server, answers = make_server(), list[Any]()

    @server.on_connect
    async def ask(socket: Socket) -> None:
        for _ in range(3):
            answers.append(await socket.call("whoami"))
        answers.extend(await asyncio.gather(*(socket.call("whoami") for _ in range(3))))

    async with server, connect(server) as peer:
        for number in range(6):
            await answer(peer, number)
        await wait_until(lambda: len(answers) == 6)
        assert answers == ["0", "1", "2", "3", "4", "5"]


async def test_a_call_in_on_connect_is_refused_at_once_too() -> None:
    server, errors = make_server(), list[BaseException]()
    server.on_error(lambda socket, error: errors.append(error))

    @server.on_connect
    async def ask(socket: Socket) -> None:
        try:
            await socket.call("whoami")
        except Exception as error:  # noqa: BLE001 - to be looked at
            errors.append(error)

    async with server, connect(server) as peer:
        asked = await peer.receive()
        await peer.ws.send(f'{{"callId": "{asked["callId"]}", "error": {{"code": "no", "message": "never"}}}}')
        await wait_until(lambda: errors)
        assert [str(error) for error in errors] == ["no: never"]


@pytest.mark.parametrize("payload", ["{", '{"callId": 5}', '{"callId": "nobody"}', "[]", '{"payload": 1}'])
async def test_invalid_answers_are_ignored_during_on_connect(payload: str) -> None:
    server, answers = make_server(), list[Any]()

    @server.on_connect
    async def ask(socket: Socket) -> None:
        answers.append(await socket.call("whoami"))

    server.on("say", lambda socket, data: data)
    async with server, connect(server) as peer:
        await peer.send_text(payload)
        await answer(peer, "me")
        assert await peer.call("say", 5) == 5
        assert answers == ["me"]


async def test_a_call_in_on_connect_is_answered_behind_a_burst() -> None:
    server, seen = make_server(), list[Any]()

    @server.on_connect
    async def ask(socket: Socket) -> None:
        await peer_has_sent.wait()
        seen.append(await socket.call("whoami"))

    server.on("say", lambda socket, data: seen.append(data))
    peer_has_sent = asyncio.Event()
    async with server, connect(server) as peer:
        for number in range(2000):
            await peer.send("say", number)
        peer_has_sent.set()
        await answer(peer, "me")
        await wait_until(lambda: len(seen) == 2001)
        assert seen == ["me", *range(2000)]


async def test_a_call_in_on_connect_is_answered_behind_a_full_backlog() -> None:
    server, asked, sent = Server("test", port=0, limits=Limits(max_message=5000)), list[Any](), asyncio.Event()
    numbers = list[int]()

    @server.on_connect
    async def greet(socket: Socket) -> None:
        await sent.wait()
        asked.append(await whoami(server, socket))

    server.on("number", lambda socket, number: numbers.append(number))
    async with server, connect(server) as peer:
        for number in range(200):
            await peer.ws.send(f'{{"event": "number", "payload": {number}}}')
        sent.set()
        await answer(peer, "me")
        await wait_until(lambda: len(numbers) == 200)
    assert asked == ["me"]
    assert numbers == list(range(200))


async def test_a_call_in_a_handler_is_answered_though_no_more_handlers_may_run() -> None:
    server = make_server(limits=Limits(handlers=1))

    @server.on("ask")
    async def ask(socket: Socket) -> Any:
        return await socket.call("whoami")

    async with server, connect(server) as peer:
        await peer.send("ask", callbackId="1")
        await answer(peer, "me")
        assert await peer.receive() == {"payload": "me", "callbackId": "1"}


async def test_a_call_in_the_handler_of_a_waiting_event_is_answered() -> None:
    server, go = make_server(limits=Limits(handlers=1)), asyncio.Event()

    @server.on_connect
    async def wait() -> None:
        await go.wait()

    @server.on("ask")
    async def ask(socket: Socket) -> Any:
        return await socket.call("whoami")

    async with server, connect(server) as peer:
        for number in range(3):
            await peer.send("ask", callbackId=str(number))
        assert await peer.rest() == []
        go.set()
        for number in range(3):
            await answer(peer, number)
            assert await peer.receive() == {"payload": str(number), "callbackId": str(number)}


async def test_pongs_count_while_on_connect_waits() -> None:
    server, go = make_server(heartbeat=Heartbeat(interval=0.1, timeout=0.1)), asyncio.Event()
    latencies, pongs = list[float | None](), list[Socket]()

    @server.on_connect
    async def wait(socket: Socket) -> None:
        await wait_until(lambda: socket.latency is not None)
        latencies.append(socket.latency)
        assert pongs == []
        await go.wait()

    server.on_pong(pongs.append)
    async with server, connect(server) as peer:
        await wait_until(lambda: latencies)
        go.set()
        await wait_until(lambda: pongs)
        assert await peer.rest() == []


async def test_on_start_may_call_the_node_itself() -> None:
    server, answers = make_server(), list[Any]()
    server.cluster.on("ping", lambda: "pong")

    @server.on_start
    async def ask() -> None:
        answers.append(await server.cluster.call(server.name, "ping"))
        answers.append(dict(await server.cluster.gather("ping")))

    async with server:
        assert answers == ["pong", {"test": "pong"}]
