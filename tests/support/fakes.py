"""The parts around one class of the server, for tests of that class alone."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from functools import partial
from typing import Any

import msgspec

from crosswire.core.calls import CallIds
from crosswire.core.formats import JSON_TEXT, Format
from crosswire.core.headers import Headers
from crosswire.core.limits import Heartbeat, Limits
from crosswire.core.listeners import EventListeners
from crosswire.rooms.fanout import FanOut
from crosswire.rooms.users import UserIndex
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.flusher import Flushable
from crosswire.runtime.timer_wheel import TimerWheel
from crosswire.runtime.workers import Workers
from crosswire.server.authentication import Verdict
from crosswire.server.connection_setup import ConnectionSetup
from crosswire.server.drain import Drain
from crosswire.server.duplicates import DuplicatePolicy, Duplicates
from crosswire.server.failures import FailureReporter
from crosswire.server.handshake import Handshake
from crosswire.server.hook_runner import HookRunner
from crosswire.server.hooks import Hooks
from crosswire.server.peer import Peer
from crosswire.server.peer_factory import PeerFactory
from crosswire.server.registry import Registry
from crosswire.server.router import Router
from crosswire.server.session import Session
from crosswire.server.sessions import Sessions
from crosswire.server.socket import Socket
from crosswire.server.subscriptions import Subscriptions
from crosswire.transport.interface import Traffic
from crosswire.types import Close

ADMITTED = Verdict(user="13")


class FakeConnection:
    """A connection that records what the server does; its peer answers pings, and a close unless told not to."""

    framed = True
    can_ping = True

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
        self.traffic = Traffic(0, 0)

    @property
    def messages(self) -> list[Any]:
        """The messages pushed, decoded from their JSON."""
        return [msgspec.json.decode(frame[4 if frame[1] == 126 else 2 :]) for frame in self.frames]

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

    async def drained(self, below: int) -> bool:
        return self.buffered < below

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self, close: Close) -> None:
        self.aborts.append(close)
        if self.receiver is not None:
            asyncio.get_running_loop().call_soon(self.receiver.closed, close)


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

        fanout = FanOut(at_end_of_turn)
        self.hooks = Hooks()
        self.events = EventListeners(socket=object)
        users: UserIndex[Peer[Socket]] = UserIndex()
        subscriptions, policy = Subscriptions(), DuplicatePolicy(duplicates, users, heartbeat.probe)
        self.registry: Registry[Peer[Socket]] = Registry(users, limits.rooms, fanout, subscriptions, policy)
        self.tasks, self.wheel = BackgroundTasks(), TimerWheel()
        self.wheel.clock = loop.time
        self.workers = Workers(self.tasks)
        self.sessions, self.failures = Sessions(), FailureReporter(self.hooks.on_error, self.tasks, loop.time)
        self.router = Router(self.events, self.hooks, limits, self.workers, self.failures)
        hooks = HookRunner(self.hooks, self.tasks, limits.handlers, self.failures)
        peers = PeerFactory(self.registry, fanout, subscriptions, policy, heartbeat, self.wheel, CallIds())
        setup = ConnectionSetup(
            self.registry, policy, hooks, self.tasks, self.wheel, limits.auth_timeout, self.failures
        )
        self.open_session = partial(
            Session, peers, setup, self.router, hooks, limits, heartbeat, self.wheel, self.sessions
        )
        self.drain = Drain(self.sessions, self.tasks, self.workers, self.wheel)
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
