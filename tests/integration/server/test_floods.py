"""Floods of bad input: few log records, flat memory, and no secrets in the log."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import time
import traceback
import tracemalloc
from typing import Any

import pytest

from crosswire import Handshake, Reject, Server, Socket
from tests.integration.server.support import TEXT, RawPeer, client_frame, connect, make_server, raw_connect, raw_stream
from tests.support.aio import wait_until

PERIOD = 10
"""Seconds after which a few more of each kind are logged."""

BAD = [
    b"no json",
    b"{}",
    b'{"event":5}',
    b'{"event":5,"callbackId":"c"}',
    b'{"event":"nobody listens"}',
    b'{"event":"nobody listens","callbackId":"c"}',
    b'{"event":"$x","callbackId":5}',
    b'{"event":"say","payload":NaN}',
    b'{"event":"fail"}',
    b'{"event":"fail","callbackId":"c"}',
    b'{"event":"fail later"}',
    b'{"event":"typed","payload":"x"}',
    b'{"event":"unsendable","callbackId":"c"}',
    b'{"callId":"x","payload":1}',
    b"[" * 1000,
    b"",
]


def faulty_server() -> Server:
    server = make_server()

    def fail() -> None:
        raise ValueError("x")

    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise ValueError("x")

    def typed(socket: Socket, data: int) -> None:
        raise AssertionError

    def unsendable() -> Any:
        return object()

    server.on("say", lambda socket, data: None)
    server.on("fail", fail)
    server.on("fail later", fail_later)
    server.on("typed", typed)
    server.on("unsendable", unsendable)
    server.on_heartbeat(fail)
    return server


async def flood(peer: RawPeer, count: int) -> None:
    """Send that many bad messages, a few hundred at a time, and read all that comes back."""
    frames = b"".join(client_frame(TEXT, text) for text in BAD)
    fence = client_frame(TEXT, b'{"event":"nobody listens","callbackId":"fence"}')
    for _ in range(count // (len(BAD) * 16)):
        peer.writer.write(frames * 16 + fence)
        while b'"fence"' not in (await peer.frame())[1]:
            pass


async def test_a_flood_of_bad_input_is_logged_a_few_times(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = faulty_server()
    began = time.monotonic()
    async with server, raw_connect(server, "1") as peer, connect(server, "2") as other:
        await flood(peer, 20_000)
        assert await other.rest() == []
    periods = (time.monotonic() - began) // PERIOD + 1
    records = [record for record in caplog.records if record.name.startswith("crosswire")]
    assert len(records) < 60 * periods, [record.getMessage() for record in records]
    # But it is logged, and says of what it is full.
    messages = [record.getMessage() for record in records]
    assert any("'fail'" in message for message in messages)
    assert any("'unsendable'" in message for message in messages)


async def test_memory_stays_flat_under_a_flood_of_bad_input() -> None:
    server = faulty_server()
    logging.getLogger("crosswire").setLevel(logging.CRITICAL)
    try:
        async with server, raw_connect(server, "1") as peer:
            await flood(peer, 4_000)
            gc.collect()
            tracemalloc.start()
            try:
                await flood(peer, 512)
                gc.collect()
                before, _ = tracemalloc.get_traced_memory()
                await flood(peer, 20_000)
                gc.collect()
                after, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert after - before < 100_000
            assert peak - before < 2_000_000
            assert len(server.sockets) == 1
    finally:
        logging.getLogger("crosswire").setLevel(logging.NOTSET)


async def test_a_flood_of_bad_connections_is_not_logged_and_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = make_server(access_log=False)
    async with server, connect(server, "good") as good:
        for number in range(300):
            async with raw_stream(server) as peer:
                if number % 3 == 0:
                    peer.writer.write(b"\x16\x03\x01 no HTTP\r\n\r\n")
                    await peer.gone()
                elif number % 3 == 1:
                    peer.writer.write(b"GET / HTTP/1.1\r\n")
                    await peer.writer.drain()
                else:
                    async with raw_connect(server) as breaking:
                        breaking.send(0xB, b"")
                        assert (await breaking.until_close())[0] == 1002
        assert await good.rest() == []
        assert [socket.user for socket in server.sockets] == ["good"]
    records = [record for record in caplog.records if record.name.startswith("crosswire")]
    assert len(records) < 20, [record.getMessage() for record in records]


async def test_connections_leave_no_memory_behind() -> None:
    server = make_server(access_log=False)  # pytest keeps the records

    @server.on_connect
    async def join(socket: Socket) -> None:
        await socket.join("chat", socket.user)

    async def come_and_go(count: int) -> None:
        for number in range(count):
            async with raw_connect(server, f"user {number}".replace(" ", "-")) as peer:
                if number % 2:
                    peer.writer.transport.abort()
        await wait_until(lambda: not server.sockets)

    async with server:
        await come_and_go(50)
        gc.collect()
        tracemalloc.start()
        try:
            await come_and_go(20)
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            await come_and_go(300)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert after - before < 100_000  # a connection that stayed would be some 10,000 bytes


TOKEN, PAYLOAD = "sesame-token-4711", "open-secret-payload-0815"


async def test_no_token_and_no_payload_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = Server("test", port=0)

    @server.authenticate
    def who(handshake: Handshake) -> str | None:
        if handshake.query.get("how") == "reject":
            raise Reject(4011)
        if handshake.query.get("how") == "fail":
            raise ValueError("broken")
        return "13" if handshake.query.get("token") == TOKEN else None

    def fail(socket: Socket, data: Any) -> None:
        raise ValueError("broken")

    def fail_in_a_page() -> None:
        raise ValueError("broken")

    def typed(socket: Socket, data: int) -> None:
        """Take a payload that the test never sends."""

    server.get("/page", fail_in_a_page)
    server.on("fail", fail)
    server.on("typed", typed)
    server.on("echo", lambda socket, data: data)
    server.on("unsendable", lambda socket, data: {data: object()})
    server.on_message(lambda: 1 / 0)
    headers = {"Authorization": f"Bearer {TOKEN}", "Cookie": TOKEN}
    async with server, connect(server, path=f"/?token={TOKEN}", additional_headers=headers) as peer:
        for event in ("fail", "typed", "echo", "unsendable", "nothing", PAYLOAD):
            await peer.send(event, PAYLOAD, callbackId="c")
        for text in (PAYLOAD, json.dumps({"event": 5, "payload": PAYLOAD}), f'{{"event":"echo","payload":"{PAYLOAD}'):
            await peer.send_text(text)
        await peer.rest()
        call = asyncio.create_task(server.everyone.gather("ask", PAYLOAD, timeout=0.01))
        assert (await call).missing == ("13",)
        async with connect(server, path=f"/?how=reject&token={TOKEN}") as rejected:
            await rejected.closed()
        for path in (f"/?how=fail&token={TOKEN}", f"/page?token={TOKEN}"):
            async with raw_stream(server) as raw:
                upgrade = "" if "page" in path else "Upgrade: websocket\r\nConnection: upgrade\r\n"
                key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" if upgrade else ""
                request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\n{upgrade}{key}\r\n"
                assert (await raw.request(request.encode()))[0] == 500
        async with raw_stream(server) as raw:
            raw.writer.write(f"GET /?token={TOKEN} HTTP/1.1\r\n{TOKEN}\r\n\r\n".encode())
            await raw.gone()
        peer.ws.transport.abort()
    text = "".join(
        record.getMessage() + ("".join(traceback.format_exception(record.exc_info[1])) if record.exc_info else "")
        for record in caplog.records
        if record.name != "websockets.client"
    )
    assert "broken" in text  # there is something that was looked through
    assert "listening on" in text
    assert TOKEN not in text
    assert PAYLOAD not in text
