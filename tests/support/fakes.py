"""The parts around one class of the server, for tests of that class alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import msgspec

from crosswire.core.formats import JSON_TEXT, AnyOutbox, Format
from crosswire.core.headers import Headers
from crosswire.core.limits import Heartbeat, Limits
from crosswire.core.skipped_messages import Droppable
from crosswire.runtime.flusher import Flushable
from crosswire.server.authentication import Verdict
from crosswire.server.duplicates import Duplicates
from crosswire.server.handshake import Handshake
from crosswire.server.server_parts import ServerParts
from crosswire.server.session import Session
from crosswire.transport.interface import TrafficSnapshot
from crosswire.types import Close

ADMITTED = Verdict(user="13")


class FakeConnection:
    """A connection that records what the server does; its peer answers pings, and a close unless told not to."""

    framed = True
    can_ping = True
    fd = -1

    def __init__(self) -> None:
        self.receiver: Session | None = None
        self.frames: list[bytes] = []
        self.pings: list[bytes] = []
        self.closes: list[tuple[int, str]] = []
        self.aborts: list[Close] = []
        self.closed_at: float | None = None
        self.answers_close = True
        self.buffered = 0
        self.reading = True
        self.peer_left = False
        self.traffic = TrafficSnapshot(0, 0)

    @property
    def messages(self) -> list[Any]:
        """The messages pushed, decoded from their JSON; several may have been joined."""
        return [msgspec.json.decode(text) for text in payloads(self)]

    @property
    def outbox(self) -> AnyOutbox:
        return self

    def push(self, frame: bytes, /) -> None:
        self.frames.append(frame)

    def ping(self, payload: bytes) -> None:
        self.pings.append(payload)
        if self.receiver is not None:
            asyncio.get_running_loop().call_soon(self.receiver.pong, payload)

    def close(self, code: int, reason: str = "") -> None:
        self.closes.append((int(code), reason))
        if len(self.closes) == 1 and self.receiver is not None and self.answers_close:
            self.closed_at = asyncio.get_running_loop().time()
            asyncio.get_running_loop().call_soon(self.receiver.closed, Close(code, reason))

    @property
    def behind(self) -> bool:
        return bool(self.buffered)

    def offer(self, frame: bytes, droppable: Droppable, /) -> None:
        self.push(frame)

    async def drained(self, below: int) -> bool:
        return self.buffered < below

    def peer_has_left(self, *, half: bool) -> bool:
        return self.peer_left

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self, close: Close) -> None:
        self.aborts.append(close)
        if self.receiver is not None:
            asyncio.get_running_loop().call_soon(self.receiver.closed, close)


def payloads(connection: FakeConnection) -> Iterator[bytes]:
    """Yield the payload of each frame that was pushed."""
    frames, position = b"".join(connection.frames), 0
    while position < len(frames):
        length, position = frames[position + 1], position + 2
        if length >= 126:
            width = 2 if length == 126 else 8
            length, position = int.from_bytes(frames[position : position + width], "big"), position + width
        yield frames[position : position + length]
        position += length


class FakeServer:
    """A server without a network, on the running loop and its clock."""

    def __init__(
        self,
        limits: Limits = Limits(),
        heartbeat: Heartbeat = Heartbeat(),
        duplicates: Duplicates = "replace",
    ) -> None:
        loop = asyncio.get_running_loop()

        def at_end_of_turn(waiting: Flushable) -> None:
            loop.call_soon(waiting.flush)

        parts = ServerParts(limits, heartbeat, duplicates, at_end_of_turn)
        self.hooks, self.events, self.registry = parts.hooks, parts.events, parts.registry
        self.tasks, self.workers, self.wheel = parts.tasks, parts.workers, parts.wheel
        self.failures, self.sessions, self.drain = parts.failures, parts.sessions, parts.drain
        self.router, self.open_session, self.attach = parts.router, parts.open_session, parts.attach
        self.joins, self.clients = parts.joins, parts.clients(lambda: "test")
        self.errors: list[BaseException] = []
        self.hooks.on_error(lambda socket, error: self.errors.append(error))

    def connect(
        self,
        verdict: Verdict = ADMITTED,
        format: Format = JSON_TEXT,
        target: str = "/?id=13",
    ) -> tuple[Session, FakeConnection]:
        """Open a connection, as a transport does."""
        connection = FakeConnection()
        handshake = Handshake(target, Headers(), "127.0.0.1")
        session = self.open_session(handshake, format, verdict, copy_context())
        connection.receiver = session
        session.opened(connection)
        return session, connection

    async def end(self) -> None:
        """Cancel the tasks and timers that are left."""
        self.workers.drop()
        await self.tasks.cancel()
        self.wheel.stop()
