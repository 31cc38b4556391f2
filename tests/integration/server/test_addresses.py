from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import unix_connect

from crosswire import Close, ConfigError, Limits, Server
from tests.integration.server.support import HookRecorder, Peer, connect, make_server
from tests.support.aio import wait_until
from tests.support.certificates import tls_contexts
from tests.support.loops import on_every_loop


async def test_port_0_is_a_free_port_that_the_server_tells() -> None:
    one, two = make_server(), make_server()
    assert one.port == 0
    async with one, two:
        assert 0 < one.port != two.port > 0
        async with connect(one, "1"), connect(two, "2"):
            assert [socket.user for socket in one.sockets] == ["1"]
            assert [socket.user for socket in two.sockets] == ["2"]
        assert str(one.port) in repr(one)


async def test_listening_on_ipv6() -> None:
    server = make_server(host="::1")
    async with server, connect(server, uri=f"ws://[::1]:{server.port}/?id=6") as peer:
        assert await peer.rest() == []
        (socket,) = server.sockets
        assert (socket.user, socket.handshake.remote) == ("6", "::1")


async def test_listening_on_a_host_name() -> None:
    server = make_server(host="localhost")
    async with server, connect(server, uri=f"ws://localhost:{server.port}/?id=1") as peer:
        assert await peer.rest() == []


async def test_listening_on_all_addresses() -> None:
    server = make_server(host="0.0.0.0")
    async with server, connect(server, "1") as peer:
        assert await peer.rest() == []


@on_every_loop
async def test_a_free_port_is_the_same_on_ipv4_and_ipv6() -> None:
    server = make_server(host="")
    async with server:
        for host in ("127.0.0.1", "[::1]"):
            async with connect(server, uri=f"ws://{host}:{server.port}/?id=1") as peer:
                assert await peer.rest() == []


class TwoPorts:
    """A server that got a free port of each address, and they differ, as they nearly always do."""

    def __init__(self) -> None:
        self.sockets = [OfPort(1001), OfPort(1002)]

    def close(self) -> None: ...


class OfPort:
    def __init__(self, port: int) -> None:
        self._port = port

    def getsockname(self) -> tuple[str, int]:
        return "", self._port


async def test_a_free_port_that_is_taken_on_another_address_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    asked: list[int] = []
    create_server: Any = type(loop).create_server

    async def taken_once(self: Any, protocol: Any, host: str, port: int, **options: Any) -> Any:
        asked.append(port)
        if len(asked) == 1:
            return TwoPorts()
        if len(asked) == 2:
            raise OSError(errno.EADDRINUSE, "in use")
        server: asyncio.Server = await create_server(self, protocol, host, port, **options)
        return server

    monkeypatch.setattr(type(loop), "create_server", taken_once)
    async with make_server(host="") as server, connect(server) as peer:
        assert asked[:3] == [0, 1001, 0]
        assert await peer.rest() == []


@on_every_loop
async def test_listening_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = make_server(host=f"unix:{path}")
    server.on("echo", lambda socket, data: data)
    for _ in range(2):  # what is left of the first run must not stop the second
        async with server:
            assert server.port == 0
            async with unix_connect(str(path), uri="ws://localhost/?id=1", compression=None) as ws:
                peer = Peer(ws, "")
                assert await peer.call("echo", "x" * 500_000) == "x" * 500_000
                (socket,) = server.sockets
                assert (socket.user, socket.handshake.remote) == ("1", "")
                server.everyone.send("hi")
                assert await peer.event() == ("hi", None)
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            await asyncio.open_unix_connection(str(path))


@on_every_loop
async def test_listening_with_tls(tmp_path: Path) -> None:
    of_server, of_client = tls_contexts(tmp_path)
    server = make_server(tls=of_server, limits=Limits(max_message=8_000_000, outbox=64_000_000))
    recorder = HookRecorder(server)
    server.on("echo", lambda socket, data: data)
    async with server, connect(server, uri=f"wss://127.0.0.1:{server.port}/?id=1", ssl=of_client) as peer:
        for size in (1, 100_000, 3_000_000):
            assert await peer.call("echo", "x" * size) == "x" * size
        for number in range(300):
            server.everyone.send("n", [number, "x" * 50_000])
        assert [(await peer.event())[1][0] for _ in range(300)] == list(range(300))
        recorder.connected[0].close(4000, "bye")
        assert await peer.closed() == Close(4000, "bye")
        await wait_until(lambda: recorder.closes)
        assert recorder.closes == [("1", Close(4000, "bye"))]
        # It speaks nothing else on that port.
        with pytest.raises((websockets.InvalidHandshake, OSError)):
            async with connect(server):
                pass


async def test_tls_clients_that_break_the_protocol_or_disconnect(tmp_path: Path) -> None:
    of_server, of_client = tls_contexts(tmp_path)
    server = make_server(tls=of_server, limits=Limits(max_message=1000))
    recorder = HookRecorder(server)
    async with server:
        uri = f"wss://127.0.0.1:{server.port}/?id=1"
        async with connect(server, uri=uri, ssl=of_client) as peer:
            await peer.ws.send("x" * 1001)
            assert (await peer.closed()).code == 1009
        await wait_until(lambda: len(recorder.closes) == 1)
        async with connect(server, uri=uri, ssl=of_client) as peer:
            peer.ws.transport.abort()
        await wait_until(lambda: len(recorder.closes) == 2)
        assert [close.code for _, close in recorder.closes] == [1009, 1006]
        assert server.sockets == ()


async def test_a_client_that_does_not_trust_the_certificate_can_not_connect(tmp_path: Path) -> None:
    of_server, _ = tls_contexts(tmp_path)
    server = make_server(tls=of_server)
    async with server:
        stranger = ssl.create_default_context()
        with pytest.raises(ssl.SSLCertVerificationError):
            async with connect(server, uri=f"wss://127.0.0.1:{server.port}/", ssl=stranger):
                pass
        assert server.sockets == ()


async def test_reuse_port_lets_two_servers_share_a_port() -> None:
    one = Server("one", port=0, reuse_port=True)
    async with one:
        two = Server("two", port=one.port, reuse_port=True)
        async with two:
            assert one.port == two.port
            served = set[str]()
            for _ in range(200):  # the kernel chooses; that one has none of 200 has a probability of 2 ** -199
                async with connect(one) as peer:
                    served.update(server.name for server in (one, two) if server.sockets)
                    assert await peer.rest() == []
                await wait_until(lambda: not one.sockets and not two.sockets)
            assert served == {"one", "two"}
        async with connect(one):
            assert len(one.sockets) == 1


@pytest.mark.parametrize("reuse_port", [False, True])
async def test_an_address_in_use_is_refused(reuse_port: bool) -> None:
    one = make_server()
    async with one, connect(one, "1") as peer:
        two = make_server(port=one.port, reuse_port=reuse_port)
        started = list[int]()
        two.on_start(lambda: started.append(1))
        with pytest.raises(ConfigError, match=str(one.port)):
            await two.start()
        assert started == []
        await two.stop()
        assert await peer.rest() == []


@pytest.mark.parametrize("host", ["192.0.2.1", "unix:/no/such/folder/socket"])
async def test_an_address_of_another_machine_is_refused(host: str) -> None:
    server = make_server(host=host)
    with pytest.raises(ConfigError):
        await server.start()


async def test_only_allowed_origins_may_connect() -> None:
    server = make_server(origins=["https://example.com", "http://localhost:3000"])
    async with server:
        for origin in ("https://example.com", "http://localhost:3000", None):
            async with connect(server, "1", origin=origin) as peer:
                assert await peer.rest() == []
        for origin in ("https://evil.com", "https://example.com.evil.com", "http://example.com", "null"):
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with connect(server, "1", origin=origin):
                    pass
            assert refused.value.response.status_code == 403
        assert server.sockets == ()


async def test_without_origins_any_may_connect() -> None:
    server = make_server()
    async with server, connect(server, origin="https://evil.com") as peer:
        assert await peer.rest() == []


@pytest.mark.parametrize("options", [{"origins": "https://example.com"}, {"name": ""}, {"name": 5}])
def test_options_that_cannot_be_used(options: dict[str, Any]) -> None:
    with pytest.raises((ConfigError, ValueError)):
        Server(**options)


async def test_a_unix_socket_that_is_served_is_not_taken_over(tmp_path: Path) -> None:
    host = f"unix:{tmp_path / 'socket'}"
    async with make_server(host=host):
        with pytest.raises(ConfigError, match="another process listens"):
            await make_server(host=host).start()
        async with unix_connect(str(tmp_path / "socket"), uri="ws://localhost/?id=1", compression=None) as ws:
            await ws.send("")
            assert await ws.recv() == ""


async def test_a_unix_socket_that_was_left_behind_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    async with (
        make_server(host=f"unix:{path}"),
        unix_connect(str(path), uri="ws://localhost/?id=1", compression=None) as ws,
    ):
        await ws.send("")
        assert await ws.recv() == ""


@pytest.mark.parametrize("port", [-1, 65536, "9000", None, True])
def test_an_invalid_port_is_refused_at_once(port: Any) -> None:
    with pytest.raises(ConfigError, match="65535"):
        Server(port=port)


@pytest.mark.parametrize("mode", ["600", "660", "0666"])
async def test_the_file_of_a_unix_socket_has_the_given_mode(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "socket"
    async with make_server(host=f"unix:{path}?mode={mode}"):
        assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
        async with unix_connect(str(path), uri="ws://localhost/?id=1", compression=None) as ws:
            await ws.send("")
            assert await ws.recv() == ""


async def test_the_file_of_a_unix_socket_is_removed_at_the_stop(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = make_server(host=f"unix:{path}?mode=600")
    for _ in range(2):
        async with server:
            assert path.is_socket()
        assert not path.exists()
    async with server:
        path.unlink()
        async with make_server(host=f"unix:{path}"):
            await server.stop()
            assert path.is_socket(), "it is the other one's now"


async def test_the_file_of_a_unix_socket_is_removed_after_a_start_that_failed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = make_server(host=f"unix:{path}")

    @server.on_start
    def fail() -> None:
        raise RuntimeError("not today")

    with pytest.raises(RuntimeError, match="not today"):
        await server.start()
    assert not path.exists()


async def test_a_file_that_is_not_a_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="can't listen"):
        await make_server(host=f"unix:{path}").start()
    assert path.read_text() == "mine"
