"""Servers, clients that keep to the protocol (the ``websockets`` package), and clients that send raw bytes."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

from crosswire import Close, Handshake, Server, Socket

WAIT_TIMEOUT = 5.0
"""Seconds after which a wait fails."""

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def user_in_query(handshake: Handshake) -> str | None:
    return handshake.query.get("id")


def make_server(**options: Any) -> Server:
    """A server on a free port that takes a client's word for who it is: ``?id=``."""
    server = Server("test", **{"port": 0, **options})
    server.authenticate(user_in_query)
    return server


class HookRecorder:
    """Recorder of a server's hooks."""

    def __init__(self, server: Server) -> None:
        self.connected: list[Socket] = []
        self.closes: list[tuple[str, Close]] = []
        self.errors: list[BaseException] = []
        server.on_connect(self.connected.append)
        server.on_disconnect(lambda socket, close: self.closes.append((socket.user, close)))
        server.on_error(lambda socket, error: self.errors.append(error))


class Peer:
    """A client that keeps to the protocol."""

    def __init__(self, ws: ClientConnection, heartbeat: str) -> None:
        self.ws = ws
        self._heartbeat = heartbeat
        self._calls = 0

    async def send(self, event: Any, payload: Any = None, **more: Any) -> None:
        await self.ws.send(json.dumps({"event": event, "payload": payload, **more}, ensure_ascii=False))

    async def send_text(self, text: str) -> None:
        await self.ws.send(text)

    async def ask(self, event: Any, payload: Any = None) -> dict[str, Any]:
        """Call the server and return its whole answer, which has to be the next message."""
        self._calls += 1
        call_id = f"call-{self._calls}"
        await self.send(event, payload, callbackId=call_id)
        answer = await self.receive()
        assert answer["callbackId"] == call_id, answer
        return dict(answer)

    async def call(self, event: Any, payload: Any = None) -> Any:
        """Call the server and return what it answers."""
        answer = await self.ask(event, payload)
        assert "payload" in answer, answer
        return answer["payload"]

    async def refused(self, event: Any, payload: Any = None) -> tuple[str, str]:
        """Call the server and return the code and message it refuses with."""
        answer = await self.ask(event, payload)
        assert answer.keys() == {"callbackId", "error"}, answer
        return answer["error"]["code"], answer["error"]["message"]

    async def receive_frame(self, timeout: float = WAIT_TIMEOUT) -> str | bytes:
        return await asyncio.wait_for(self.ws.recv(), timeout)

    async def receive(self, timeout: float = WAIT_TIMEOUT) -> Any:
        return json.loads(await self.receive_frame(timeout))

    async def event(self) -> tuple[str, Any]:
        """Return the next message, an event, as name and payload."""
        message = await self.receive()
        assert message.keys() == {"event", "payload"}, message
        return message["event"], message["payload"]

    async def rest(self) -> list[Any]:
        """Return all that the server has sent up to now: what comes before the echo of a heartbeat."""
        await self.ws.send(self._heartbeat)
        messages = []
        while (frame := await self.receive_frame()) != self._heartbeat:
            messages.append(json.loads(frame))
        return messages

    async def is_told_nothing(self) -> bool:
        """Return whether the server has sent nothing but protocol frames up to now, as to a client not let in."""
        await asyncio.wait_for(await self.ws.ping(), WAIT_TIMEOUT)  # what came before the Pong was received before it
        try:
            await asyncio.wait_for(self.ws.recv(), 0)
        except TimeoutError:
            return True
        return False

    async def closed(self, timeout: float = WAIT_TIMEOUT) -> Close:
        """Wait until the connection is closed, and return how."""
        await asyncio.wait_for(self.ws.wait_closed(), timeout)
        return Close(self.ws.close_code or 1006, self.ws.close_reason or "")


def url_of(server: Server, path: str = "/", scheme: str = "ws") -> str:
    return f"{scheme}://127.0.0.1:{server.port}{path}"


@asynccontextmanager
async def connect(
    server: Server, user: str | None = None, *, path: str = "/", heartbeat: str = "", **options: Any
) -> AsyncIterator[Peer]:
    """Connect a client that keeps to the protocol."""
    target = path if user is None else f"{path}?id={user}"
    settings = {"uri": url_of(server, target), "compression": None, "ping_interval": None, **options}
    async with websockets.connect(proxy=None, max_size=None, max_queue=None, **settings) as ws:
        yield Peer(ws, heartbeat)


@asynccontextmanager
async def crowd(server: Server, count: int) -> AsyncIterator[list[Peer]]:
    """Start a server and connect that many clients, the users "0", "1", ..."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server)
        yield [await stack.enter_async_context(connect(server, str(number))) for number in range(count)]


def upgrade_request(path: str = "/", **fields: str) -> bytes:
    """A valid upgrade request; a field given as ``a_b`` replaces or adds ``a-b``, one given as "" is left out."""
    headers = {
        "host": "localhost",
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    headers.update({name.replace("_", "-"): value for name, value in fields.items()})
    lines = [f"{name}: {value}" for name, value in headers.items() if value]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


def client_frame(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A masked frame, as a client sends it."""
    first = opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
    length = len(payload)
    if length < 126:
        header = struct.pack("!BB", first, 0x80 | length)
    elif length < 1 << 16:
        header = struct.pack("!BBH", first, 0xFE, length)
    else:
        header = struct.pack("!BBQ", first, 0xFF, length)
    mask = os.urandom(4)
    key = (mask * (length // 4 + 1))[:length]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")
    return header + mask + masked


class RawPeer:
    """A client that sends exactly what a test says; it answers no ping and no close by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self, request: bytes) -> tuple[int, dict[str, str]]:
        """Send an HTTP request; return the answer's status and header fields."""
        self.writer.write(request)
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), WAIT_TIMEOUT)
        status, *lines = head.decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines if line)
        return int(status.split()[1]), {name.lower(): value for name, value in fields.items()}

    async def body(self) -> bytes:
        """Read to the end of the connection."""
        return await asyncio.wait_for(self.reader.read(), WAIT_TIMEOUT)

    def send(self, opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> None:
        self.writer.write(client_frame(opcode, payload, fin=fin, rsv1=rsv1))

    def send_event(self, event: str, payload: Any = None, **more: Any) -> None:
        self.send(TEXT, json.dumps({"event": event, "payload": payload, **more}).encode())

    async def frame(self, timeout: float = WAIT_TIMEOUT) -> tuple[int, bytes]:
        """Read one frame: opcode (with the first byte's upper bits, if not only FIN is set) and payload."""
        return await asyncio.wait_for(self._frame(), timeout)

    async def until_close(self) -> tuple[int, list[bytes]]:
        """Read to the Close frame; return its code and the payloads in front of it."""
        before: list[bytes] = []
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big"), before
            before.append(payload)

    async def gone(self, timeout: float = WAIT_TIMEOUT) -> None:
        """Read until the server has ended the connection."""

        async def read_on() -> None:
            with suppress(ConnectionError):
                while await self.reader.read(1 << 16):
                    pass

        await asyncio.wait_for(read_on(), timeout)

    async def _frame(self) -> tuple[int, bytes]:
        first, length = await self.reader.readexactly(2)
        assert not length & 0x80, "a server must not mask"
        if length == 126:
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return first & 0x7F if first & 0x80 else first, await self.reader.readexactly(length)


@asynccontextmanager
async def raw_stream(server: Server, *, receive_buffer: int | None = None) -> AsyncIterator[RawPeer]:
    """Open a TCP connection to a server."""
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
    except BaseException:
        sock.close()
        raise
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        yield RawPeer(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def nobody_listens(server: Server) -> bool:
    """Whether a connection to the server's port is refused."""
    try:
        async with raw_stream(server):
            return False
    except ConnectionRefusedError:
        return True


@asynccontextmanager
async def raw_connect(
    server: Server, user: str | None = None, *, receive_buffer: int | None = None, **fields: str
) -> AsyncIterator[RawPeer]:
    """Connect a client that sends exactly what a test says."""
    async with raw_stream(server, receive_buffer=receive_buffer) as peer:
        status, _ = await peer.request(upgrade_request("/" if user is None else f"/?id={user}", **fields))
        assert status == 101
        yield peer
