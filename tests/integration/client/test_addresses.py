"""A host name of a server with several addresses, some of which don't work."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from crosswire.client import Client
from crosswire.errors import NotConnected
from tests.integration.client.fake_server import FakeServer
from tests.integration.client.helpers import HookRecorder, quick_client
from tests.support.addresses import Address, refusing_address, resolve, silent_address
from tests.support.certificates import tls_contexts

DEAD = {"silent": silent_address, "refusing": refusing_address}


@pytest.mark.parametrize("kind", DEAD)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
async def test_a_dead_address_does_not_prevent_a_connection_to_another(kind: str, host: str, last: bool) -> None:
    async with FakeServer() as server:
        with DEAD[kind](host) as dead:
            alive: Address = ("127.0.0.1", server.port)
            resolve(chat_test=[alive, dead] if last else [dead, alive])
            client = Client("ws://chat.test:9/")
            recorder = HookRecorder(client)
            async with asyncio.timeout(9):  # one attempt would take 10 s before it is given up
                await client.connect()
            assert recorder.events == ["open"]
            [request] = server.requests
            assert request.headers["Host"] == "chat.test:9"
            await client.close()


async def test_several_dead_addresses_do_not_prevent_a_connection() -> None:
    async with FakeServer() as server:
        with silent_address() as one, silent_address("::1") as two, refusing_address() as three:
            resolve(chat_test=[one, two, three, ("127.0.0.1", server.port)])
            async with asyncio.timeout(8), Client("ws://chat.test"):
                assert len(server.connections) == 1


async def test_a_host_without_a_working_address_is_a_failed_attempt() -> None:
    with refusing_address() as one, refusing_address("::1") as two:
        resolve(chat_test=[one, two], nobody_test=[])
        for name in ("chat.test", "nobody.test", "a..b", f"{'x' * 64}.test"):
            client = quick_client(f"ws://{name}", retry_limit=0)
            with pytest.raises(NotConnected, match="gave up"):
                await client.connect()


async def test_an_attempt_can_be_ended_while_no_address_answers() -> None:
    with silent_address() as one, silent_address("::1") as two:
        resolve(chat_test=[one, two])
        client = Client("ws://chat.test")
        connecting = asyncio.create_task(client.connect())
        await asyncio.sleep(0.4)  # both are being tried
        await client.close()
        with pytest.raises(NotConnected, match="closed by the client"):
            await connecting


async def test_the_certificate_is_checked_against_the_host_name(tmp_path: Path) -> None:
    serving, trusting = tls_contexts(tmp_path)
    async with FakeServer(tls=serving) as server:
        with silent_address() as dead:
            resolve(localhost=[dead, ("127.0.0.1", server.port)], other_test=[("127.0.0.1", server.port)])
            async with asyncio.timeout(8), Client("wss://localhost", tls=trusting):
                assert len(server.connections) == 1
            with pytest.raises(NotConnected, match=r"(?i)certificate|hostname"):
                await quick_client("wss://other.test", tls=trusting, retry_limit=0).connect()
