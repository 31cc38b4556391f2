from __future__ import annotations

import asyncio
import time
from pathlib import Path

from websockets.asyncio.server import ServerConnection

from crosswire.types import Close
from tests.integration.client.fake_server import FakeServer
from tests.integration.client.helpers import HookRecorder, quick_client
from tests.support.aio import wait_until
from tests.support.certificates import tls_contexts


async def test_no_echo_drops_the_connection_and_another_is_made() -> None:
    async with FakeServer() as server:
        server.echo = False
        began = time.perf_counter()
        client = quick_client(server.url, ping_interval=0.01, pong_timeout=0.03)
        recorder = HookRecorder(client)
        await client.connect()
        await wait_until(lambda: recorder.count("pong timeout") == 1)
        server.echo = True
        await wait_until(lambda: recorder.count("open") == 2)
        assert recorder.events[:4] == ["open", "pong timeout", "close", "reconnect"]
        assert recorder.closes[0] == Close(1006, "the server did not answer the heartbeat")
        await wait_until(lambda: client.latency is not None)
        assert client.latency is not None
        assert 0 < client.latency < (time.perf_counter() - began) * 1000
        await client.close()
        assert client.latency is None


async def test_heartbeats_are_reported_and_never_events() -> None:
    pings: list[None] = []
    pongs: list[float] = []
    raws: list[str | bytes] = []
    async with FakeServer() as server, quick_client(server.url, ping_interval=60) as client:
        client.on_ping(lambda: pings.append(None))
        client.on_pong(pongs.append)
        client.on_message(raws.append)
        server.answers["say"] = None
        await server.last.send("")
        await client.call("say")  # the echo that nobody asked for has been read
        client.ping_interval = 0.005
        await wait_until(lambda: len(pongs) >= 3)
        client.ping_interval = None
        assert client.ping_interval is None
        await wait_until(lambda: len(pings) == len(pongs))
        count = server.heartbeats
        await asyncio.sleep(0.03)
        assert server.heartbeats == count == len(pings)
        assert len(raws) == 1  # the answer


async def test_a_custom_heartbeat_text() -> None:
    async def echo(connection: ServerConnection) -> None:
        async for raw in connection:
            await connection.send(raw)

    raws: list[str | bytes] = []
    async with FakeServer() as server:
        server.script = echo
        async with quick_client(server.url, ping_interval=0.01, ping_text="ping") as client:
            client.on_message(raws.append)
            await wait_until(lambda: client.latency is not None)
            assert raws == []


async def test_heartbeats_over_tls(tmp_path: Path) -> None:
    serving, trusting = tls_contexts(tmp_path)
    async with FakeServer(tls=serving) as server:
        client = quick_client(server.url, tls=trusting, ping_interval=0.01, pong_timeout=0.4)
        recorder = HookRecorder(client)
        await client.connect()
        await wait_until(lambda: server.heartbeats >= 3 and client.latency is not None)
        server.echo = False
        await wait_until(lambda: recorder.closes)
        assert recorder.events[:3] == ["open", "pong timeout", "close"]
        server.echo = True
        await client.close()
