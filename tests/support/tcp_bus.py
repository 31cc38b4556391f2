"""A bus as somebody else might write one: a small broker, and ports that reach it over TCP.

It promises as little as a bus may: messages come twice and in another order, and nobody can count who listens.
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress

from crosswire.cluster.interface import PortEvents, Receive
from crosswire.cluster.send_buffer import Budget, Overflow
from crosswire.types import GapInfo

SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBED, PUBLISH, PUBLISH_PLAIN = range(5)
_HEAD = struct.Struct("<BII")
"""Kind of the frame, size of the channel's name, size of the message."""
HOLD_TIME = 0.005
"""Seconds after which the broker sends what it has, in any order."""
RETRY_INTERVAL = 0.02
"""Seconds between two attempts to connect."""


def frame(kind: int, channel: bytes, message: bytes = b"") -> bytes:
    return _HEAD.pack(kind, len(channel), len(message)) + channel + message


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes, bytes]]:
    """Read kind, channel and message of each frame until the connection ends."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            kind, name_size, size = _HEAD.unpack(await reader.readexactly(_HEAD.size))
            yield kind, await reader.readexactly(name_size), await reader.readexactly(size)


class Subscriber:
    """A connection to the broker, as the broker sees it."""

    def __init__(self, writer: asyncio.StreamWriter, random: random.Random) -> None:
        self.writer = writer
        self.channels: set[bytes] = set()
        self._random = random
        self._held: list[bytes] = []

    def send_soon(self, data: bytes) -> None:
        """Send a frame twice, and not in its turn."""
        if not self._held:
            asyncio.get_running_loop().call_later(HOLD_TIME, self.flush)
        self._held += [data, data]

    def flush(self) -> None:
        held, self._held = self._held, []
        self._random.shuffle(held)
        if not self.writer.is_closing():
            self.writer.writelines(held)


class Broker:
    """Passes on what is published.

    Attributes:
        loses: channels whose next message is lost.
    """

    def __init__(self) -> None:
        self.loses: set[bytes] = set()
        self._random = random.Random(0)
        self._subscribers: dict[Subscriber, asyncio.Task[None] | None] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        own = Subscriber(writer, self._random)
        self._subscribers[own] = asyncio.current_task()
        async for kind, channel, message in frames(reader):
            if kind == SUBSCRIBE:
                own.channels.add(channel)
                own.flush()
                writer.write(frame(SUBSCRIBED, channel))
            elif kind == UNSUBSCRIBE:
                own.channels.discard(channel)
            elif channel in self.loses:
                self.loses.discard(channel)
            else:
                self._pass_on(kind, channel, message)
        del self._subscribers[own]
        writer.close()

    def _pass_on(self, kind: int, channel: bytes, message: bytes) -> None:
        for each in self._subscribers:
            if channel in each.channels:
                send = each.writer.write if kind == PUBLISH_PLAIN else each.send_soon
                send(frame(kind, channel, message))

    def disconnect(self, channel: bytes | None = None) -> None:
        """Cut the connections that listen on a channel; None for all."""
        for each in self._subscribers:
            if channel is None or channel in each.channels:
                each.writer.transport.abort()

    async def close(self) -> None:
        self.disconnect()
        while tasks := list(filter(None, self._subscribers.values())):
            await asyncio.wait(tasks)


class TcpBus:
    """Carries messages over a broker that listens on a port of this machine."""

    prefix = "tcp."
    buffer = 1024 * 1024
    overflow: Overflow = "drop"

    def __init__(self, port: int) -> None:
        self.port = port

    def attach(self, events: PortEvents, name: str, origin: bytes, budget: Budget) -> TcpPort:
        return TcpPort(self.port, events)


class TcpPort:
    """A node's connection to the broker, opened again when it is lost."""

    reorders = True
    hold_time = 1.0
    paths = ()

    def __init__(self, port: int, events: PortEvents) -> None:
        self._port = port
        self._events = events
        self._receivers: dict[bytes, Receive] = {}
        self._confirmed: dict[bytes, asyncio.Event] = {}
        self._unconfirmed = Counter[bytes]()
        self._writer: asyncio.StreamWriter | None = None
        self.available = False
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._lost_at: float | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._connected.wait(), 2)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._lose()
        self._receivers.clear()

    def use_paths(self, common: Collection[str] | None) -> None: ...

    async def _run(self) -> None:
        while True:
            with suppress(OSError):
                reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
                self._open()
                async for kind, channel, message in frames(reader):
                    self._take(kind, channel, message)
                self._lost_at = time.time()
                self._lose()
            await asyncio.sleep(RETRY_INTERVAL)

    def _open(self) -> None:
        self.available = True
        for channel in self._receivers:
            self._ask_for(channel)
        self._connected.set()
        self._events.resume_publishing()
        if self._lost_at is not None:
            self._events.gap(GapInfo("tcp", self._lost_at, time.time()))
            self._events.restored()

    def _lose(self) -> None:
        if self._writer is not None:
            self._writer.close()  # when it has sent what was published
        self.available = False
        self._events.pause_publishing()
        for confirmed in self._confirmed.values():
            confirmed.set()
        self._confirmed.clear()
        self._unconfirmed.clear()

    def _take(self, kind: int, channel: bytes, message: bytes) -> None:
        if kind == SUBSCRIBED:
            self._unconfirmed[channel] -= 1
            if not self._unconfirmed[channel]:
                self._confirmed.setdefault(channel, asyncio.Event()).set()
        elif (receive := self._receivers.get(channel)) is not None:
            receive(message)

    def _ask_for(self, channel: bytes) -> None:
        if self.available:
            self._unconfirmed[channel] += 1
            self._send(SUBSCRIBE, channel)

    def _send(self, kind: int, channel: bytes, message: bytes = b"") -> None:
        if self._writer is not None and self.available:
            self._writer.write(frame(kind, channel, message))

    def publish(self, channel: bytes, header: bytes, body: bytes) -> None:
        self._send(PUBLISH, channel, header + body)

    def publish_plain(self, channel: bytes, body: bytes) -> None:
        self._send(PUBLISH_PLAIN, channel, body)

    def announce(self, channel: bytes, header: bytes, body: bytes) -> bool:
        self._send(PUBLISH, channel, header + body)
        return self.available

    def subscribe(self, channel: bytes, receive: Receive) -> None:
        if channel not in self._receivers:
            self._ask_for(channel)
        self._receivers[channel] = receive

    def unsubscribe(self, channel: bytes) -> None:
        if self._receivers.pop(channel, None) is not None:
            self._send(UNSUBSCRIBE, channel)
            if (confirmed := self._confirmed.pop(channel, None)) is not None:
                confirmed.set()  # nobody waits for it any more

    def is_listening(self, channel: bytes) -> bool:
        confirmed = self._confirmed.get(channel)
        return channel in self._receivers and confirmed is not None and confirmed.is_set()

    async def wait_listening(self, channel: bytes) -> None:
        if channel in self._receivers and self.available:
            await self._confirmed.setdefault(channel, asyncio.Event()).wait()

    async def count_listeners(self, channel: bytes) -> int | None:
        return None


@asynccontextmanager
async def tcp_bus() -> AsyncIterator[tuple[TcpBus, Broker]]:
    """A bus and its broker, which ends with the test."""
    broker = Broker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    try:
        yield TcpBus(server.sockets[0].getsockname()[1]), broker
    finally:
        server.close()
        await broker.close()
        await server.wait_closed()
