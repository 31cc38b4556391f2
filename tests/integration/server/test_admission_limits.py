"""Limits on connections that are not let in, and on those of one address, over sockets."""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from crosswire import Client, Handshake, Limits, Response, Server
from crosswire.testing import asgi_client
from crosswire.transport import read_turns
from crosswire.transport.connection_servers import ACCEPTED_IN_TURN
from crosswire.transport.descriptor_table import ROOM
from tests.integration.server.support import (
    WAIT_TIMEOUT,
    RawPeer,
    connect,
    make_server,
    raw_connect,
    raw_stream,
    upgrade_request,
    url_of,
)
from tests.support.aio import wait_until
from tests.support.attacks import attack, attacked_server, witness
from tests.support.certificates import tls_contexts

DRIBBLERS = 300
"""Connections that send a byte now and then, and never a whole request."""


def room_for_descriptors(pid: int) -> int:
    """Return how many descriptors the kernel's table of a process has room for."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("FDSize:")))


async def status_of(peer: RawPeer, **fields: str) -> tuple[int, str | None]:
    status, answered = await peer.request(upgrade_request(**fields))
    return status, answered.get("retry-after")


# Addresses


async def test_an_address_has_a_number_of_connections() -> None:
    async with make_server(limits=Limits(address_connections=2)) as server, AsyncExitStack() as stack:
        first = await stack.enter_async_context(raw_connect(server, "1"))
        await stack.enter_async_context(raw_connect(server, "2"))
        async with raw_stream(server) as third:
            assert await status_of(third) == (429, "5")
        first.writer.close()
        await wait_until(lambda: len(server.sockets) == 1)
        await stack.enter_async_context(raw_connect(server, "3"))


async def test_an_address_opens_a_number_of_connections_a_second() -> None:
    async with make_server(limits=Limits(address_rate=0.2)) as server:
        statuses = []
        for _ in range(3):
            async with raw_stream(server) as peer:
                statuses.append(await status_of(peer))
        assert statuses == [(101, None), (101, None), (429, "5")]


async def test_an_address_that_waits_for_no_answer_is_dropped_early() -> None:
    async with make_server(limits=Limits(address_connections=2)) as server, AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(raw_stream(server))
        third = await stack.enter_async_context(raw_stream(server))
        await third.gone()


async def test_an_address_that_says_nothing_behind_tls_is_dropped_early_too(tmp_path: Path) -> None:
    tls, trusting = tls_contexts(tmp_path)
    async with make_server(limits=Limits(address_connections=2), tls=tls) as server, AsyncExitStack() as stack:
        for _ in range(2):
            peer = await stack.enter_async_context(raw_stream(server))
            await peer.writer.start_tls(trusting, server_hostname="localhost")
        third = await stack.enter_async_context(raw_stream(server))
        await third.gone()


async def test_behind_a_proxy_it_is_the_address_of_the_client() -> None:
    limits = Limits(address_connections=1)
    async with make_server(limits=limits, trusted_proxies=["127.0.0.1"]) as server, AsyncExitStack() as stack:
        outcomes = []
        for client in ("203.0.113.1", "203.0.113.2", "203.0.113.1", "2001:db8::1", "2001:db8::2", "::ffff:203.0.113.2"):
            peer = await stack.enter_async_context(raw_stream(server))
            outcomes.append((await status_of(peer, x_forwarded_for=client))[0])
        assert outcomes == [101, 101, 429, 101, 429, 429]


async def test_it_is_the_address_of_the_client_over_asgi_and_from_routes_too() -> None:
    server = Server(limits=Limits(address_connections=1))
    async with server.lifespan():

        async def route(scope: object, receive: object, send: object) -> None:
            await server.accept((scope, receive, send), user="13")

        for application in (server.asgi, route):
            first = await asgi_client.connect(application, "/")
            assert isinstance(first, asgi_client.AsgiClient)
            second = await asgi_client.connect(application, "/")
            assert isinstance(second, Response)
            assert (second.status, second.headers["retry-after"]) == (429, "5")
            first.close()
            await wait_until(lambda: not server.sockets)


async def test_a_client_that_was_refused_comes_back() -> None:
    async with make_server(limits=Limits(address_connections=1)) as server, raw_connect(server, "1") as first:
        client = Client(f"ws://127.0.0.1:{server.port}", fast_interval=0.05)
        attempts: list[int] = []
        client.on_reconnect(lambda attempt, delay: attempts.append(attempt))
        connecting = asyncio.create_task(client.connect())
        await wait_until(lambda: attempts)
        first.writer.close()
        async with asyncio.timeout(WAIT_TIMEOUT):
            await connecting
        await client.close()


# Connections that are not let in


async def test_no_more_are_accepted_than_are_handled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose request is there must not give way because the server has not come to it."""
    monkeypatch.setattr(read_turns, "LONG_TURN", 0)  # a turn handles one request that has come, ...
    monkeypatch.setattr(read_turns, "TURN_TIME", 0)  # ... and one that has waited
    pending: list[int] = []
    async with make_server() as server, AsyncExitStack() as stack:
        listener = cast(Any, server._listener)
        server.on_connect(lambda socket: pending.append(len(listener._handshakes)))
        peers = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(300)]
        for peer in peers:
            peer.sendall(upgrade_request())
        await wait_until(lambda: len(pending) == len(peers))
        assert max(pending) <= 3 * ACCEPTED_IN_TURN


async def dribble(peer: RawPeer) -> None:
    for byte in upgrade_request():
        peer.writer.write(bytes((byte,)))
        await asyncio.sleep(1)


async def test_dribblers_give_way_to_a_new_connection() -> None:
    limits = Limits(unauthenticated=20)
    async with make_server(limits=limits) as server, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(raw_stream(server)) for _ in range(30)]
        tasks = [asyncio.create_task(dribble(peer)) for peer in peers]
        async with raw_connect(server, "13"):
            listener = server._listener
            assert len(listener._handshakes) <= 20  # type: ignore[attr-defined]
            assert sum(peer.reader.at_eof() for peer in peers) >= 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_handshakes_of_tls_give_way_to_a_new_connection(tmp_path: Path) -> None:
    tls, trusting = tls_contexts(tmp_path)
    async with make_server(limits=Limits(unauthenticated=20), tls=tls) as server, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(raw_stream(server)) for _ in range(30)]
        for peer in peers[::2]:
            peer.writer.write(b"\x16\x03\x01")
        address = url_of(server, "/?id=13", "wss").replace("127.0.0.1", "localhost")
        async with connect(server, "13", uri=address, ssl=trusting):
            assert len(server._listener._handshakes) <= 20  # type: ignore[attr-defined]
            assert sum(peer.reader.at_eof() for peer in peers) >= 1


async def test_a_storm_of_clients_waits_and_is_let_in() -> None:
    async with make_server(limits=Limits(unauthenticated=5)) as server, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(raw_stream(server)) for _ in range(100)]
        answers = await asyncio.gather(*(peer.request(upgrade_request(f"/?id={id(peer)}")) for peer in peers))
        assert [status for status, _ in answers] == [101] * 100


async def test_clients_that_have_sent_their_request_in_time_are_let_in_by_a_server_that_is_late() -> None:
    server = Server(port=0, limits=Limits(handshake_timeout=0.2))

    @server.authenticate
    def who(handshake: Handshake) -> str:
        time.sleep(0.03)  # which holds up everybody, as hashing a password does
        return handshake.query["id"]

    async with server, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(raw_stream(server)) for _ in range(30)]
        answers = await asyncio.gather(*(peer.request(upgrade_request(f"/?id={id(peer)}")) for peer in peers))
        assert [status for status, _ in answers] == [101] * 30


async def test_authentications_at_work_are_bounded() -> None:
    server = Server(port=0, limits=Limits(unauthenticated=2))
    may_end = asyncio.Event()

    @server.authenticate
    async def who(handshake: Handshake) -> str:
        await may_end.wait()
        return handshake.query["id"]

    async with server, AsyncExitStack() as stack:
        for number in range(2):
            await stack.enter_async_context(raw_connect(server, str(number)))
        await wait_until(lambda: server._acceptor._authenticating == 2)
        async with raw_stream(server) as third:
            assert await status_of(third) == (503, "5")
        may_end.set()
        await wait_until(lambda: server._acceptor._authenticating == 0)
        await stack.enter_async_context(raw_connect(server, "3"))


async def test_many_dribblers_hold_up_nobody() -> None:
    limits = Limits(handshake_timeout=2)
    async with attacked_server(limits=limits) as server, witness(server):
        before = await server.memory()
        raws = [await attack(server, upgrade=False) for _ in range(DRIBBLERS)]
        try:
            for byte in upgrade_request()[:20]:
                for raw in raws:
                    raw.send(bytes((byte,)))
                await asyncio.sleep(0.01)
            state = await server.state()
            assert state.longest_turn < 50
            assert await server.memory() - before < DRIBBLERS * 32 * 1024 + 4_000_000
            assert [await raw.closed() for raw in raws] == [1006] * DRIBBLERS
            state = await server.wait_for(connections=1)  # the witness
            assert state.log_lines <= 10
        finally:
            for raw in raws:
                await raw.close()


# File descriptors


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux waits while the table of descriptors grows")
async def test_there_is_room_for_the_descriptors_of_thousands_before_they_connect() -> None:
    async with attacked_server() as server:
        room = room_for_descriptors(server.pid)
        soft, _ = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        assert room >= min(soft, ROOM)


@pytest.mark.parametrize("asyncio_loop", [False, True], ids=["uvloop", "asyncio"])
async def test_without_a_file_descriptor_connections_wait(asyncio_loop: bool) -> None:
    environment = {"CROSSWIRE_TEST_LOOP": "asyncio"} if asyncio_loop else {}
    async with attacked_server(environment=environment) as server, AsyncExitStack() as stack:
        soft = (await server.state()).descriptors + 40
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, soft))
        raws = []
        for number in range(80):
            raw = await attack(server, upgrade=False)
            stack.push_async_callback(raw.close)
            raws.append(raw.send(upgrade_request(f"/?user={number}")))
        state = await server.state()
        async with asyncio.timeout(60):
            while (now := await server.state()).connections != state.connections or now.connections <= 20:
                state = now
                await asyncio.sleep(0.2)
        assert state.connections < 80
        await asyncio.sleep(1)
        after = await server.state()
        assert after.cpu - state.cpu < 0.3
        assert after.log_lines <= 3
        for raw in raws[: state.connections]:
            assert (await raw.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        await asyncio.gather(*(raw.close() for raw in raws[: state.connections]))
        for raw in raws[state.connections : state.connections + 20]:
            assert (await raw.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert not [line for line in (await server.state()).log if "Traceback" in line]
