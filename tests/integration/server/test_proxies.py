"""Clients behind proxies: addresses and schemes from headers and the PROXY protocol."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from crosswire import ConfigError, Handshake, Limits, Server
from crosswire.testing.socket_peer import upgrade_request
from tests.integration.server.support import WAIT_TIMEOUT, make_server
from tests.support.aio import wait_until
from tests.support.certificates import tls_contexts
from tests.support.loops import on_every_loop
from tests.support.proxy_header import tlv, v2

V1 = b"PROXY TCP4 1.2.3.4 10.0.0.1 8080 80\r\n"
V2 = v2(bytes((1, 2, 3, 4, 10, 0, 0, 1, 0x1F, 0x90, 0, 80)) + tlv(0x20, b"\x01" + bytes(4)))
LOCAL = v2(b"", command=0, family=0)
REQUEST = b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Server]:
    server = make_server(**options)

    @server.get("/who")
    def who(handshake: Handshake) -> str:
        return f"{handshake.remote} {handshake.scheme}"

    async with server:
        yield server


async def say(server: Server, *parts: bytes, path: str = "") -> bytes:
    """Send bytes, part by part, and read what comes until the end."""
    if path:
        reader, writer = await asyncio.open_unix_connection(path)
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    answer = b""
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(WAIT_TIMEOUT):
            while got := await reader.read(65536):
                answer += got
    except ConnectionError:
        pass  # dropped by the server; only its answer counts
    finally:
        writer.close()
    return answer


async def who(server: Server, *parts: bytes, path: str = "") -> str:
    return (await say(server, *parts, path=path)).partition(b"\r\n\r\n")[2].decode()


@pytest.mark.parametrize(
    ("trusted", "fields", "seen"),
    [
        (["127.0.0.0/8"], "X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\nX-Forwarded-Proto: https\r\n", "1.2.3.4 https"),
        (["127.0.0.1"], 'Forwarded: for="[2001:db8::1]:1";proto=wss\r\n', "2001:db8::1 https"),
        (["10.0.0.0/8"], "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n", "127.0.0.1 http"),
        ([], "Forwarded: for=1.2.3.4;proto=https\r\n", "127.0.0.1 http"),
    ],
)
async def test_a_trusted_proxy_tells_the_client_s_address_and_scheme(
    trusted: list[str], fields: str, seen: str
) -> None:
    async with serving(trusted_proxies=trusted) as server:
        assert await who(server, REQUEST[:-2] + fields.encode() + b"\r\n") == seen
        connected = upgrade_request().replace(b"Host: test\r\n", b"Host: test\r\n" + fields.encode())
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(connected)
        await wait_until(lambda: server.sockets)
        (socket,) = server.sockets
        assert f"{socket.handshake.remote} {socket.handshake.scheme}" == seen
        writer.close()


async def test_a_proxy_on_a_unix_socket(tmp_path: Path) -> None:
    request = REQUEST[:-2] + b"X-Forwarded-For: 1.2.3.4\r\n\r\n"
    for trusted, seen in ((["unix"], "1.2.3.4 http"), (["10.0.0.0/8"], " http")):
        async with serving(host=f"unix:{tmp_path}/s", trusted_proxies=trusted) as server:
            assert await who(server, request, path=f"{tmp_path}/s") == seen


async def test_over_tls_the_scheme_is_https(tmp_path: Path) -> None:
    server_tls, client_tls = tls_contexts(tmp_path)
    async with serving(tls=server_tls) as server:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=client_tls, server_hostname="localhost"
        )
        writer.write(REQUEST)
        assert (await asyncio.wait_for(reader.read(), WAIT_TIMEOUT)).endswith(b"127.0.0.1 https")
        writer.close()


@pytest.mark.parametrize(
    ("header", "seen"),
    [(V1, "1.2.3.4 http"), (V2, "1.2.3.4 https"), (LOCAL, "127.0.0.1 http"), (b"PROXY UNKNOWN\r\n", "127.0.0.1 http")],
)
async def test_the_proxy_protocol_gives_the_client_s_address(header: bytes, seen: str) -> None:
    async with serving(trusted_proxies=["127.0.0.1"], proxy_protocol=True) as server:
        assert await who(server, header + REQUEST) == seen
        assert await who(server, *(bytes((byte,)) for byte in header + REQUEST)) == seen
        answer = await say(server, header + upgrade_request() + b"\x88\x82\0\0\0\0\x03\xe8")
        assert answer.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(("trusted", "seen"), [("unix", "1.2.3.4 http"), ("10.0.0.1", "")])
async def test_the_proxy_protocol_on_a_unix_socket(tmp_path: Path, trusted: str, seen: str) -> None:
    path = f"{tmp_path}/s"
    async with serving(host=f"unix:{path}", trusted_proxies=[trusted], proxy_protocol=True) as server:
        assert await who(server, V1 + REQUEST, path=path) == seen


async def test_the_announced_client_may_itself_be_a_proxy() -> None:
    request = REQUEST[:-2] + b"X-Forwarded-For: 5.6.7.8\r\n\r\n"
    async with serving(trusted_proxies=["127.0.0.1", "1.2.3.4"], proxy_protocol=True) as server:
        assert await who(server, V1 + request) == "5.6.7.8 http"
    async with serving(trusted_proxies=["127.0.0.1"], proxy_protocol=True) as server:
        assert await who(server, V1 + request) == "1.2.3.4 http"


@pytest.mark.parametrize(
    "sent", [REQUEST, b"\x16\x03\x01", b"PROXY TCP4 nonsense\r\n" + REQUEST, V2[:13] + b"\xff" * 50]
)
async def test_a_connection_without_a_proxy_header_is_dropped_with_a_warning(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(trusted_proxies=["127.0.0.1"], proxy_protocol=True) as server:
        assert await say(server, sent) == b""
        assert await who(server, V1 + REQUEST) == "1.2.3.4 http"
    assert [each.levelname for each in caplog.records if "was dropped" in each.getMessage()] == ["WARNING"]


async def test_a_proxy_header_of_an_untrusted_peer_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(trusted_proxies=["10.0.0.0/8"], proxy_protocol=True) as server:
        assert await say(server, V1 + REQUEST) == b""
    assert "trusted_proxies" in caplog.text


async def test_a_slow_proxy_header_is_dropped() -> None:
    options = {"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True, "limits": Limits(handshake_timeout=0.1)}
    async with serving(**options) as server:
        assert await say(server, V1[:10]) == b""


def tls_exchange(client_tls: ssl.SSLContext, port: int, header: bytes, *, at_once: bool) -> bytes:
    """Send a proxy header and then TLS, as a proxy that passes TLS through, over a blocking socket."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_tls.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_TIMEOUT) as raw:
        if not at_once:
            raw.sendall(header)
        first = header if at_once else b""
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(first + outgoing.read())
                first = b""
                incoming.write(raw.recv(65536))
        tls.write(REQUEST)
        raw.sendall(outgoing.read())
        answer = b""
        while True:
            try:
                if not (got := tls.read(65536)):
                    return answer
                answer += got
            except ssl.SSLWantReadError:
                if not (data := raw.recv(65536)):
                    return answer
                incoming.write(data)
            except ssl.SSLError:
                return answer


@on_every_loop
@pytest.mark.parametrize("at_once", [True, False])
async def test_the_proxy_protocol_comes_before_tls(tmp_path: Path, at_once: bool) -> None:
    server_tls, client_tls = tls_contexts(tmp_path)
    async with serving(tls=server_tls, trusted_proxies=["127.0.0.1"], proxy_protocol=True) as server:
        for _ in range(3):
            answer = await asyncio.to_thread(tls_exchange, client_tls, server.port, V1, at_once=at_once)
            assert answer.endswith(b"1.2.3.4 https")
        assert b"HTTP" not in await say(server, V1 + b"no TLS at all\r\n\r\n")
        answer = await asyncio.to_thread(tls_exchange, client_tls, server.port, V2, at_once=at_once)
        assert answer.endswith(b"1.2.3.4 https")


async def test_a_slow_tls_handshake_after_the_proxy_header_is_dropped(tmp_path: Path) -> None:
    server_tls, _ = tls_contexts(tmp_path)
    limits = Limits(handshake_timeout=0.1)
    async with serving(tls=server_tls, trusted_proxies=["127.0.0.1"], proxy_protocol=True, limits=limits) as server:
        assert await say(server, V1) == b""


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"proxy_protocol": True}, "trusted_proxies"),
        ({"proxy_protocol": 1, "trusted_proxies": ["10.0.0.1"]}, "proxy_protocol=1"),
        ({"trusted_proxies": "10.0.0.1"}, "collection"),
        ({"trusted_proxies": ["10.0.0.1", 5]}, "string"),
        ({"trusted_proxies": None}, "trusted_proxies"),
        ({"trusted_proxies": ["10.0.0.1", "10.0.0.1"]}, "twice"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], advice: str) -> None:
    with pytest.raises(ConfigError, match=advice):
        Server(**options)
