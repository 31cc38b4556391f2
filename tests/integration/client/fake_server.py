"""A server of the client protocol that a test controls; it can break the protocol too."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Self

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from crosswire.testing.reserved_port import ReservedPort

Script = Callable[[ServerConnection], Awaitable[None]]
MSGPACK = Subprotocol("crosswire.msgpack")


class Refusal:
    """An answer to a call that is an error."""

    def __init__(self, code: str, message: str) -> None:
        self.error = {"code": code, "message": message}


class FakeServer:
    """A scriptable server on a port of its own.

    Attributes:
        answers: event -> what a call of it is answered; a call of any other event is never answered.
        echo: whether heartbeats are echoed.
        refuse_with: the HTTP status that upgrades are answered with, or None.
        script: run on every connection once it is open.
        original: whether it is one that knows nothing of ``$ready``; else it says so at once, unless told not to.
        lets_in: whether it says ``$ready`` by itself.
        requests: the upgrade requests that came.
        connections: the connections that opened, in order.
        messages: what came, decoded, heartbeats apart.
        heartbeats: how many came.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, msgpack: bool = False) -> None:
        self.answers: dict[str, Any] = {}
        self.echo = True
        self.refuse_with: int | None = None
        self.original = False
        self.lets_in = True
        self.script: Script | None = None
        self.requests: list[Request] = []
        self.connections: list[ServerConnection] = []
        self.messages: list[Any] = []
        self.heartbeats = 0
        self._place = ReservedPort()  # reserved while this server is stopped
        self.port = self._place.number
        self._tls = tls
        self._subprotocols = [MSGPACK] if msgpack else None
        self._server: Server | None = None

    @property
    def url(self) -> str:
        return f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self.port}/"

    @property
    def last(self) -> ServerConnection:
        return self.connections[-1]

    def events(self) -> list[Any]:
        return [message["event"] for message in self.messages if "event" in message]

    async def start(self) -> None:
        """Listen, on the same port as before if it was stopped."""
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            ssl=self._tls,
            process_request=self._process_request,
            process_response=self._process_response,
            subprotocols=self._subprotocols,
            ping_interval=None,
            compression=None,
            max_size=None,
            close_timeout=0.2,
            logger=logging.getLogger("tests.fake_server"),
        )

    async def stop(self) -> None:
        """Drop every connection and listen no more."""
        if self._server is not None:
            self.drop_all()
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def drop_all(self) -> None:
        """Lose the TCP connections, without a Close frame."""
        for connection in self.connections:
            connection.transport.abort()

    async def send(self, message: Any) -> None:
        """Send a message on the last connection."""
        await self.last.send(self._encode(message))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        return None if self.refuse_with is None else connection.respond(self.refuse_with, "no\n")

    def _process_response(self, _connection: ServerConnection, _request: Request, response: Response) -> None:
        if not self.original and response.status_code == 101:
            response.headers["Crosswire"] = "1"

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        try:
            if self.lets_in and not self.original:
                await connection.send(self._encode({"event": "$ready", "payload": None}))
            if self.script is not None:
                await self.script(connection)
            async for raw in connection:
                await self._receive(connection, raw)
        except ConnectionClosed:
            return

    async def _receive(self, connection: ServerConnection, raw: str | bytes) -> None:
        if raw == "":
            self.heartbeats += 1
            if self.echo:
                await connection.send("")
            return
        message = msgspec.msgpack.decode(raw) if isinstance(raw, bytes) else json.loads(raw)
        self.messages.append(message)
        if "callbackId" not in message or message["event"] not in self.answers:
            return
        answer = self.answers[message["event"]]
        if isinstance(answer, Refusal):
            reply = {"callbackId": message["callbackId"], "error": answer.error}
        else:
            reply = {"payload": answer, "callbackId": message["callbackId"]}
        await connection.send(self._encode(reply))

    def _encode(self, message: Any) -> str | bytes:
        return msgspec.msgpack.encode(message) if self._subprotocols else json.dumps(message)


class SilentServer:
    """Takes TCP connections and never says a word.

    Attributes:
        open: connections that are.
        taken: connections that ever were.
    """

    def __init__(self) -> None:
        self.open = 0
        self.taken = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.taken += 1
        try:
            while await reader.read(65536):
                pass
        except ConnectionResetError:
            pass  # dropped by the client, as it may be
        finally:
            self.open -= 1
            writer.close()
