"""The contract of transports: picows over TCP, TLS and a Unix socket, in memory, and ASGI."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from crosswire.core.limits import Limits
from crosswire.runtime.flusher import Flusher
from crosswire.runtime.loops import loop_factory
from crosswire.testing import asgi_client, socket_peer
from crosswire.testing.recording import Harness, TransportPeer
from crosswire.testing.transport_suite import MessageTransportContract, TransportContract
from crosswire.transport import picows_listener
from crosswire.transport.asgi import AsgiCall, AsgiWebSockets
from crosswire.transport.interface import Accepted, Acceptor, AsgiApplication, HttpRequest, Response
from crosswire.transport.listener_context import ListenerContext
from crosswire.transport.memory import MemoryClient, MemoryListener
from crosswire.transport.picows_listener import PicowsListener
from crosswire.transport.picows_transport import PicowsTransport
from crosswire.transport.unix_socket import UNIX_PREFIX
from tests.support import aio
from tests.support.certificates import tls_contexts
from tests.support.uvicorn_server import running_uvicorn


class _Contract(TransportContract):
    def run(self, test: Coroutine[Any, Any, None]) -> None:
        aio.run(test, loop_factory())


class _OverSockets(_Contract):
    """picows; how often it writes is seen at its gate."""

    host = "127.0.0.1"
    remote = "127.0.0.1"
    server_tls: ssl.SSLContext | None = None
    client_tls: ssl.SSLContext | None = None
    writes = 0

    @pytest.fixture(autouse=True)
    def _count_writes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        send = PicowsTransport.write_frames

        def counted(gate: PicowsTransport, data: bytes) -> None:
            self.writes += 1
            send(gate, data)

        monkeypatch.setattr(PicowsTransport, "write_frames", counted)

    @asynccontextmanager
    async def harness(self, acceptor: Acceptor, limits: Limits) -> AsyncIterator[Harness]:
        listener = PicowsListener(acceptor, limits, Flusher(), host=self.host, port=0, tls=self.server_tls)
        await listener.bind()
        await listener.serve()

        async def connect(target: str, headers: Mapping[str, str]) -> TransportPeer | Response:
            unix = self.host.startswith(UNIX_PREFIX)
            address = self.host.removeprefix(UNIX_PREFIX) if unix else (self.host, listener.port)
            return await socket_peer.connect(address, target, headers.items(), tls=self.client_tls)

        try:
            yield Harness(connect, remote=self.remote, writes=lambda: self.writes)
        finally:
            await listener.stop()


class TestTcp(_OverSockets):
    pass


class TestTcpOnAsyncio(_OverSockets):
    def run(self, test: Coroutine[Any, Any, None]) -> None:
        aio.run(test, asyncio.new_event_loop)


class TestTcpWithoutEpoll(_OverSockets):
    """The event loop accepts and reads, as on other systems than Linux."""

    @pytest.fixture(autouse=True)
    def _without_epoll(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(picows_listener, "can_poll", lambda: False)


class TestIpv6(_OverSockets):
    host = remote = "::1"


class TestTls(_OverSockets):
    @pytest.fixture(autouse=True)
    def _certificate(self, tmp_path: Path) -> None:
        self.server_tls, self.client_tls = tls_contexts(tmp_path)


class TestUnixSocket(_OverSockets):
    remote = ""

    @pytest.fixture(autouse=True)
    def _path(self) -> Iterator[None]:
        with TemporaryDirectory() as directory:  # pytest's own can be longer than a Unix socket's path may be
            self.host = f"{UNIX_PREFIX}{Path(directory) / 'socket'}"
            yield


class TestMemory(_Contract):
    @asynccontextmanager
    async def harness(self, acceptor: Acceptor, limits: Limits) -> AsyncIterator[Harness]:
        listener, peers = MemoryListener(acceptor, limits), []

        async def connect(target: str, headers: Mapping[str, str]) -> TransportPeer | Response:
            peer = await listener.connect(target, headers.items())
            if isinstance(peer, MemoryClient):
                peers.append(peer)
            return peer

        yield Harness(connect, remote="memory", writes=lambda: sum(peer.arrivals for peer in peers))


class _DecidesAtOnce:
    """An ``AsyncAcceptor`` that asks an ``Acceptor``."""

    def __init__(self, acceptor: Acceptor) -> None:
        self._acceptor = acceptor

    async def decide(
        self, request: HttpRequest, user: str | None = None, *, routed: bool = False, upgraded: bool = False
    ) -> Accepted | Response:
        return self._acceptor.accept(request)

    def refuse_late(self) -> Response | None:
        return None


def asgi_application(acceptor: Acceptor, limits: Limits, *, compress: bool = False) -> AsgiApplication:
    """Return an ASGI application that serves the WebSockets of an acceptor."""
    websockets = AsgiWebSockets(_DecidesAtOnce(acceptor), ListenerContext(limits, Flusher(), compress=compress))

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await websockets.serve(AsgiCall(scope, receive, send))

    return application


class TestAsgi(MessageTransportContract):
    """An ASGI application that is called in memory."""

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        aio.run(test, loop_factory())

    @asynccontextmanager
    async def harness(self, acceptor: Acceptor, limits: Limits) -> AsyncIterator[Harness]:
        application = asgi_application(acceptor, limits)

        async def connect(target: str, headers: Mapping[str, str]) -> TransportPeer | Response:
            return await asgi_client.connect(application, target, list(headers.items()))

        yield Harness(connect, remote="127.0.0.1")


class TestUvicorn(MessageTransportContract):
    """uvicorn on a real socket, in this process; frames are written past its ``send``."""

    compress = False

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        aio.run(test, loop_factory())

    @asynccontextmanager
    async def harness(self, acceptor: Acceptor, limits: Limits) -> AsyncIterator[Harness]:
        async with running_uvicorn(asgi_application(acceptor, limits, compress=self.compress)) as port:

            async def connect(target: str, headers: Mapping[str, str]) -> TransportPeer | Response:
                return await socket_peer.connect(("127.0.0.1", port), target, headers.items())

            yield Harness(connect, remote="127.0.0.1")


class TestUvicornThroughSend(TestUvicorn):
    """The same, where uvicorn may compress: each message goes through its ``send``."""

    compress = True
