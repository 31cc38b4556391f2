"""A server that sends anything to a client of ours: its response to the upgrade, frames, messages.

Bit 0 of an input's first byte: the response is a right one, and the input is frames behind it; without, the input is
the response too. Bit 1: in small pieces. Bit 2: the client asks for MessagePack, and gets it. Bit 3: the server ends
the connection.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import socket
from typing import Any

from crosswire import Client
from crosswire.errors import CrosswireError
from crosswire.transport import client_connection
from tests.fuzz.bus_server import new_loop
from tests.fuzz.target import Finding, SteppedLoop

UPGRADED, PIECES, MSGPACK, ENDED = 1, 2, 4, 8
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"Sec-WebSocket-Key: (\S+)\r\n", re.IGNORECASE)
_PIECE = 5
TURNS = 30
"""Turns of the event loop in which a client has handled an input."""


class HostileServerTarget:
    """Target of the Python client."""

    def start(self) -> None:
        """Let clients connect to a socket that the target keeps."""
        self._stepped = SteppedLoop(new_loop)
        self._dial: Any = getattr(client_connection, "dial")  # noqa: B009 - it is imported there, not defined
        self._own: socket.socket | None = None
        setattr(client_connection, "dial", self._connect)  # noqa: B010

    def run(self, data: bytes) -> None:
        """Connect a client, and send it the input."""
        how, rest = data[:1] or b"\0", data[1:]
        self._stepped.run(self._serve(how[0], rest))
        self._stepped.step(5)
        if self._stepped.tasks:
            raise Finding(f"{self._stepped.tasks} tasks are left")
        self._stepped.errors.check()

    def stop(self) -> None:
        """Undo the start."""
        setattr(client_connection, "dial", self._dial)  # noqa: B010
        self._stepped.close()

    async def _connect(self, make: Any, *_address: object) -> Any:
        self._own, theirs = socket.socketpair()
        self._own.setblocking(False)
        return await asyncio.get_running_loop().create_connection(make, sock=theirs)

    async def _serve(self, how: int, data: bytes) -> None:
        self._own = None
        client = make_client(msgpack=bool(how & MSGPACK))
        connecting = asyncio.ensure_future(client.connect())
        try:
            await self._attack(how, data)
        finally:
            if self._own is not None:
                self._own.close()  # else the client would wait for its Close to be answered
            await client.close()
            await asyncio.gather(connecting, return_exceptions=True)
        if not isinstance(connecting.exception(), CrosswireError | None):
            raise Finding("connect failed with no error of ours") from connecting.exception()

    async def _attack(self, how: int, data: bytes) -> None:
        own, request = await self._request()
        if how & UPGRADED:
            own.send(response(request, msgpack=bool(how & MSGPACK)))
        size = _PIECE if how & PIECES else len(data) or 1
        for start in range(0, len(data), size):
            if not await _send(own, data[start : start + size]):
                break
        await _turns()
        if how & ENDED:
            own.close()
        await _turns()

    async def _request(self) -> tuple[socket.socket, bytes]:
        request = b""
        for _ in range(TURNS):
            await asyncio.sleep(0)
            if self._own is None:
                continue
            try:
                request += self._own.recv(65536)
            except BlockingIOError:
                continue
            if request.endswith(b"\r\n\r\n"):
                return self._own, request
        raise Finding(f"no whole request: {request!r}")


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def _send(own: socket.socket, piece: bytes) -> bool:
    """Send a piece, and let the client read; return whether the client still has the connection."""
    for _ in range(TURNS * 10):
        if not piece:
            return True
        try:
            piece = piece[own.send(piece) :]
        except BlockingIOError:
            pass
        except OSError:
            return False
        await asyncio.sleep(0)
        try:
            while own.recv(65536):
                pass
        except BlockingIOError:
            pass
        except OSError:
            return False
    raise Finding("the client does not read")


def make_client(*, msgpack: bool) -> Client:
    """Return a client with handlers of every kind, which does not connect again."""
    client = Client(
        "ws://127.0.0.1:1/",
        subprotocols=("crosswire.msgpack",) if msgpack else (),
        ping_interval=None,
        reconnect_policy=lambda close: False,
        max_interval=1,
    )
    client.on("news", lambda data: data)
    client.on("say", _answer)
    client.on_message(lambda raw: None)
    client.on_error(lambda error: None)
    return client


async def _answer(data: Any) -> Any:
    await asyncio.sleep(0)
    return data


def response(request: bytes, *, msgpack: bool) -> bytes:
    """Return the response that grants an upgrade."""
    key = _KEY.search(request)
    assert key is not None
    accept = base64.b64encode(hashlib.sha1(key[1] + _GUID, usedforsecurity=False).digest())
    subprotocol = b"Sec-WebSocket-Protocol: crosswire.msgpack\r\n" if msgpack else b""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Crosswire: 1\r\n%b"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % (subprotocol, accept)
    )
