"""A server in this process, and connections to it that send any bytes."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from crosswire import EventError, Handshake, Heartbeat, Limits, NotConnected, Response, Server, Socket
from crosswire.runtime import loops
from tests.fuzz.target import Finding, SteppedLoop

LIMITS = Limits(
    max_message=16 * 1024,
    fragments=16,
    headers=20,
    header_size=4096,
    outbox=256 * 1024,
    rooms=5,
    handlers=10,
    linger=0.002,
)
IDLE_TURNS = 3
"""Turns of the event loop without an answer after which none is awaited."""
MAX_TURNS = 400
"""Turns of the event loop that one input may take."""


class Move(msgspec.Struct):
    """A typed payload."""

    x: int
    to: list[str]
    how: dict[str, float] = {}


class FuzzedServer:
    """A server on a Unix socket, with handlers of every kind, whose event loop runs only in :meth:`exchange`."""

    def __init__(self, **options: Any) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-")
        self._path = str(Path(self._folder.name) / "s")
        self.stepped = SteppedLoop(loops.loop_factory() or asyncio.new_event_loop)
        quiet = Heartbeat(interval=3600, timeout=3600)
        self.server = Server("fuzzed", host=f"unix:{self._path}", limits=LIMITS, heartbeat=quiet, **options)
        add_handlers(self.server)
        self.stepped.run(self.server.start())
        self.stepped.step(20)
        self._tasks = self.stepped.tasks

    def exchange(self, parts: list[bytes]) -> bytes:
        """Connect, send parts in turns of their own, return what came, and check that nothing is left."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.setblocking(False)
            peer.connect(self._path)
            output = bytearray()
            for part in parts:
                self._send(peer, part, output)
            ended = self._read(peer, output)
            if not ended:
                self._end(peer, output)
        self._check()
        return bytes(output)

    def close(self) -> None:
        """Stop the server, and close the event loop."""
        self.stepped.run(self.server.stop())
        self.stepped.close()
        self._folder.cleanup()

    def _send(self, peer: socket.socket, part: bytes, output: bytearray) -> None:
        for _ in range(MAX_TURNS):
            if not part:
                return
            try:
                part = part[peer.send(part) :]
            except BlockingIOError:
                pass
            except OSError:
                return  # the server has closed the connection
            self.stepped.step()
            _receive(peer, output)
        raise Finding("the server does not read")

    def _read(self, peer: socket.socket, output: bytearray) -> bool:
        """Read until nothing comes any more; return whether the server has closed the connection."""
        idle = 0
        for _ in range(MAX_TURNS):
            self.stepped.step()
            size = len(output)
            if _receive(peer, output):
                return True
            idle = 0 if len(output) > size else idle + 1
            if idle > IDLE_TURNS:
                return False
        raise Finding("the server does not stop sending")

    def _end(self, peer: socket.socket, output: bytearray) -> None:
        """End the sending side, and read what still comes."""
        peer.shutdown(socket.SHUT_WR)
        for _ in range(IDLE_TURNS):
            self.stepped.step()
            if _receive(peer, output):
                return

    def _check(self) -> None:
        parts = self.server._instruments._parts
        self.stepped.step_until(lambda: not len(parts.sessions), "the session is gone")
        self.stepped.step_until(lambda: self.stepped.tasks <= self._tasks, "no task is left", 20_000)
        if self.server.sockets:
            raise Finding(f"sockets are left: {self.server.sockets}")
        if self.server.local_rooms.count("chat"):
            raise Finding("somebody is left in a room")
        self.stepped.errors.check()


def _receive(peer: socket.socket, output: bytearray) -> bool:
    """Receive what has come; return whether the connection has ended."""
    try:
        while data := peer.recv(1 << 16):
            output += data
    except BlockingIOError:
        return False
    except OSError:
        pass  # a reset ends it too
    return True


def add_handlers(server: Server) -> None:
    """Give a server handlers of every kind; none of them fails, whatever it gets."""
    server.authenticate(_who)
    server.on("echo", lambda socket, data: data)
    server.on("later", _later)
    server.on("stuck", _wait)
    server.on("move", _move)
    server.on("join", _join)
    server.on("leave", _leave)
    server.on("refuse", _refuse)

    @server.on("tell")
    def tell(socket: Socket, data: msgspec.Raw) -> None:
        server.room("chat", "lobby").send("told", data)
        server.everyone.send("told", data, exclude=[socket])

    server.get("/page", lambda: Response(body=b"a page"))
    server.on_message(lambda socket, raw: None)
    server.on_pong(lambda socket: None)
    server.on_heartbeat(lambda socket: None)


async def _who(handshake: Handshake) -> str | None:
    if "pending" in handshake.query:
        await asyncio.Event().wait()
    return handshake.query.get("id") or None


async def _later(socket: Socket, data: Any) -> Any:
    await asyncio.sleep(0)
    return data


async def _wait(socket: Socket) -> None:
    await asyncio.Event().wait()


def _move(socket: Socket, data: Move) -> int:
    return data.x


async def _join(socket: Socket, data: str) -> None:
    with suppress(NotConnected):  # the client may have closed meanwhile
        await socket.join("chat", data or "lobby")


async def _leave(socket: Socket, data: str) -> None:
    with suppress(NotConnected):
        await socket.leave("chat", data or "lobby")


def _refuse(socket: Socket) -> None:
    raise EventError("no", "never")
