"""Messages and calls of a client before it is let in."""

from __future__ import annotations

import asyncio
from typing import Any

from crosswire import Client, Handshake, Server, Socket
from tests.integration.client.helpers import HookRecorder
from tests.support.aio import wait_until


def url_of(server: Server) -> str:
    return f"ws://127.0.0.1:{server.port}/"


async def test_a_call_of_the_server_from_on_connect_is_answered_before_the_client_is_let_in() -> None:
    server = Server("test", port=0)
    names: list[Any] = []

    @server.on_connect
    async def ask(socket: Socket) -> None:
        names.append(await socket.call("whoami", timeout=5))

    async with server:
        client = Client(url_of(server), ping_interval=None)
        client.on("whoami", lambda: "Sam")
        async with client:
            assert names == ["Sam"]


async def test_a_burst_before_admission_is_lost_on_neither_side() -> None:
    server = Server("test", port=0)
    seen: list[int] = []
    server.on("say", lambda socket, data: seen.append(data))

    @server.authenticate
    async def slowly(handshake: Handshake) -> str:
        await asyncio.sleep(0.2)
        return "13"

    async with server:
        client = Client(url_of(server))
        recorder = HookRecorder(client)

        @client.on_open
        def burst() -> None:
            for number in range(1000):
                client.send("say", number)

        async with client:
            await wait_until(lambda: len(seen) == 1000)
            assert seen == list(range(1000))
            assert recorder.events == ["open"]
