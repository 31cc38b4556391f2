"""Attacks on a real server: its process, what can be seen of it, clients that send raw bytes, and a well-behaved one.

async with attacked_server(limits=Limits(...)) as server, witness(server) as others:
    async with attacker(server, "user=pending") as raw:
        await raw.flood(frame(Opcode.PONG) * 1000, times=1000)
    state = await server.state()
    assert state.longest_turn < 50

assert (await others.result()).p99 < 100
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import resource
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from crosswire import Heartbeat, Limits
from crosswire.core.frame_reader import Frame, FrameReader
from crosswire.core.frames import Opcode
from crosswire.testing.socket_peer import upgrade_request
from tests.support.aio import within
from tests.support.answering_program import ANSWER_TIMEOUT, ask, read_answer, running_program

TURNS_AT_REST = 5
"""Turns of the event loop between two looks at a server that is at rest."""

_MASKED = 0x80
_NO_LINGER = struct.pack("ii", 1, 0)


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0) -> bytes:
    """Return a masked frame with a mask of zeros; ``reserved`` are the three reserved bits."""
    first, size = (0x80 if final else 0) | reserved << 4 | opcode, len(payload)
    if size < 126:
        return bytes((first, _MASKED | size, 0, 0, 0, 0)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first, _MASKED | 126, size) + bytes(4) + payload
    return struct.pack("!BBQ", first, _MASKED | 127, size) + bytes(4) + payload


def event(name: str, payload: Any = None, call_id: str | None = None) -> bytes:
    """Return the frame of an event, or of a call if it has an id."""
    message = {"event": name, "payload": payload} | ({} if call_id is None else {"callbackId": call_id})
    return frame(Opcode.TEXT, json.dumps(message).encode())


class ServerState(NamedTuple):
    """State of an attacked server.

    Attributes:
        longest_turn: of the event loop since the last state, in milliseconds of CPU time.
        turns: of the event loop so far, those that are shorter than a millisecond together.
        cpu: seconds of CPU time of the process.
        tasks: of the event loop; a few are there without any connection.
        timers: on the timer wheel.
        connections: WebSockets, with those that are not let in.
        teardowns: connections that are gone, with handlers at work.
        descriptors: open file descriptors.
        log_lines: number of log lines so far.
        log: the last of them.
        counts: calls of handlers and hooks, by name.
        errors: what ``on_error`` was told, by the exception's class; needs ``hooks=True``.
    """

    longest_turn: float
    turns: int
    cpu: float
    tasks: int
    timers: int
    connections: int
    teardowns: int
    descriptors: int
    log_lines: int
    log: list[str]
    counts: dict[str, int]
    errors: dict[str, int]

    @property
    def held(self) -> tuple[int, ...]:
        """What the server holds; the same again after all connections are gone."""
        return self.tasks, self.timers, self.connections, self.teardowns, self.descriptors

    def __str__(self) -> str:
        return repr(self._replace(log=self.log[-5:]))


class AttackedServer:
    """A server in a process of its own; made by :func:`attacked_server`.

    Attributes:
        port: of the server.
        pid: of the process.
        tls: trusts its certificate, or None without TLS.
    """

    def __init__(self, process: asyncio.subprocess.Process, port: int, tls: ssl.SSLContext | None) -> None:
        self._process = process
        self.port = port
        self.pid = process.pid
        self.tls = tls

    async def state(self) -> ServerState:
        """Return its state, at any time: a thread of its own answers."""
        return ServerState(**await ask(self._process, "state"))

    async def memory(self, *, trim: bool = False) -> int:
        """Return the bytes that the process occupies; ``trim`` collects garbage and gives free memory back first."""
        if trim:
            await ask(self._process, "trim")
        return _resident_bytes(self.pid)

    async def wait_for(self, **expected: int) -> ServerState:
        """Wait until attributes of the state have these values, and return the state."""
        return await self._wait_for(
            lambda state: all(getattr(state, name) == value for name, value in expected.items()), expected
        )

    async def wait_for_counts(self, **expected: int) -> ServerState:
        """Wait until handlers or hooks were called at least so often, and return the state."""
        return await self._wait_for(
            lambda state: all(state.counts.get(name, 0) >= count for name, count in expected.items()), expected
        )

    async def wait_for_rest(self) -> ServerState:
        """Wait until nobody is connected, and what there was of connections is closed; return the state.

        The event loop closes a descriptor some callbacks after the connection, and a task ends in one of its own.
        """
        states: list[ServerState] = []

        def is_at_rest(state: ServerState) -> bool:
            if not states or state.held != states[0].held:
                states[:] = [state]
            return not (state.connections or state.teardowns) and state.turns - states[0].turns >= TURNS_AT_REST

        return await self._wait_for(is_at_rest, "no connections, and the same in several turns of the event loop")

    async def wait_for_memory(self, limit: int) -> None:
        """Wait until it occupies no more than ``limit`` bytes, with free memory given back."""
        occupied = -1
        async with within(ANSWER_TIMEOUT, lambda: f"at most {limit} bytes of memory; there are {occupied}"):
            while (occupied := await self.memory(trim=True)) > limit:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.1)

    async def _wait_for(self, is_met: Callable[[ServerState], bool], expected: object) -> ServerState:
        state: ServerState | None = None
        async with within(ANSWER_TIMEOUT, lambda: f"{expected}; the server's state is {state}"):
            while not is_met(state := await self.state()):  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.02)
        assert state is not None
        return state


@asynccontextmanager
async def attacked_server(
    *,
    limits: Limits | None = None,
    heartbeat: Heartbeat | None = None,
    hooks: bool = False,
    asgi: bool = False,
    certificate: Path | None = None,
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[AttackedServer]:
    """Run a server as ``server.run()`` does; end it with the context.

    Its handlers: ``echo`` (a plain function), ``busy`` (one that takes 1 ms), ``slow`` (waits for ever), ``keep``
    (keeps its payload), ``join`` (the room that the payload names), ``tell`` (sends to everyone), ``shout`` (sends
    ``count`` messages of ``size`` to the room "shout", as fast as the caller reads them). ``user=`` of the query is
    the user; ``authenticate`` never ends for one that begins with "pending".

    Args:
        limits: of the server.
        heartbeat: of the server.
        hooks: whether it has hooks, which count.
        asgi: whether uvicorn serves it.
        certificate: directory of the certificate that ``tests.support.certificates`` made, for TLS.
        environment: more variables of its process.
        options: arguments of ``Server`` that JSON can carry.
    """
    given = {
        "limits": _changed(limits or Limits(), Limits()),
        "heartbeat": _changed(heartbeat or Heartbeat(), Heartbeat()),
        "hooks": hooks,
        "asgi": asgi,
        "certificate": None if certificate is None else str(certificate),
        "access_log": False,
        **options,
    }
    async with running_program("tests.support.attacked_program", json.dumps(given), environment=environment) as process:
        trusting = None if certificate is None else ssl.create_default_context(cafile=certificate / "certificate.pem")
        yield AttackedServer(process, (await read_answer(process))["port"], trusting)


class Attacker:
    """A connection of raw bytes to an attacked server; made by :func:`attacker`. It reads only what it is asked for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()

    def send(self, data: bytes) -> Self:
        """Send bytes, or queue them while the server does not read."""
        self._writer.write(data)
        return self

    async def flood(self, data: bytes, *, times: int = 1, timeout: float = ANSWER_TIMEOUT) -> bool:
        """Send bytes as often as said, as fast as they are taken; return False if that has ended too early.

        It ends early at the timeout, and when the server closes the connection.
        """
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(timeout):
                for _ in range(times):
                    self._writer.write(data)
                    await self._writer.drain()
                return True
        return False

    async def read_until(self, end: bytes) -> bytes:
        """Read until some bytes have come."""
        async with within(ANSWER_TIMEOUT, lambda: f"{end!r} from the server; there is {self._reader}"):
            return await self._reader.readuntil(end)

    async def skip_to(self, end: bytes) -> None:
        """Read and discard what comes, up to these bytes; there is no timeout."""
        tail = b""
        while end not in tail:
            data = await self._read()
            assert data, "the connection has ended"
            tail = tail[-len(end) :] + data

    async def frames(self, count: int) -> list[Frame]:
        """Read that many frames, or fewer if the connection ends."""
        found: list[Frame] = []
        async with within(ANSWER_TIMEOUT, lambda: f"{count} frames; there are {found}, and {self._reader}"):
            while len(found) < count:
                if (each := self._frames.next()) is not None:
                    found.append(each)
                elif data := await self._read():
                    self._frames.feed(data)
                else:
                    break
        return found

    async def closed(self) -> int:
        """Read to the end of the connection; return the code of the server's Close, or 1006 if none came."""
        code = 1006
        while frames := await self.frames(1):
            if frames[0].opcode is Opcode.CLOSE:
                code = int.from_bytes(frames[0].payload[:2], "big")
        return code

    def reset(self) -> None:
        """Drop the connection with an RST, unless the server has ended it already."""
        own: socket.socket | None = self._writer.get_extra_info("socket")
        if own is not None and own.fileno() >= 0:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._writer.transport.abort()

    async def close(self) -> None:
        """Drop the connection."""
        self._writer.transport.abort()
        with suppress(ConnectionError, ssl.SSLError):
            await self._writer.wait_closed()

    async def _read(self) -> bytes:
        with suppress(ConnectionError):
            return await self._reader.read(65536)
        return b""


async def attack(
    server: AttackedServer,
    query: str = "",
    *,
    upgrade: bool = True,
    headers: Iterable[tuple[str, str]] = (),
    receive_buffer: int | None = None,
) -> Attacker:
    """Connect to a server, and become a WebSocket unless that is not wanted; the caller closes it.

    Args:
        server: to connect to.
        query: of the URL, such as "user=13"; "user=pending" is never let in.
        upgrade: False for a connection without a request.
        headers: of the request, besides those of every upgrade.
        receive_buffer: bytes that its kernel takes while it does not read; None as the system sees fit, megabytes.
    """
    own = socket.socket()
    if receive_buffer is not None:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    own.setblocking(False)
    await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", server.port))
    host = None if server.tls is None else "localhost"
    raw = Attacker(*await asyncio.open_connection(sock=own, ssl=server.tls, server_hostname=host, limit=1 << 20))
    if upgrade:
        head = await raw.send(upgrade_request(f"/?{query}", headers)).read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
    return raw


@asynccontextmanager
async def attacker(
    server: AttackedServer,
    query: str = "",
    *,
    upgrade: bool = True,
    headers: Iterable[tuple[str, str]] = (),
    receive_buffer: int | None = None,
) -> AsyncIterator[Attacker]:
    """Connect with :func:`attack`, and drop the connection at the end of the context."""
    raw = await attack(server, query, upgrade=upgrade, headers=headers, receive_buffer=receive_buffer)
    try:
        yield raw
    finally:
        await raw.close()


class Latencies:
    """Latencies of well-behaved clients' calls, in milliseconds, with those that they could not make meanwhile.

    Args:
        latencies: in any order.
    """

    def __init__(self, latencies: Iterable[float]) -> None:
        self._sorted = sorted(latencies)

    def __add__(self, others: Latencies) -> Latencies:
        return Latencies((*self._sorted, *others._sorted))

    @property
    def calls(self) -> int:
        """Their number."""
        return len(self._sorted)

    @property
    def p50(self) -> float:
        """The one that half of them do not exceed."""
        return self._below(0.5)

    @property
    def p99(self) -> float:
        """The one that 99 in a hundred do not exceed."""
        return self._below(0.99)

    @property
    def worst(self) -> float:
        """The longest."""
        return self._below(1.0)

    def _below(self, share: float) -> float:
        if not self._sorted:
            return 0.0
        return self._sorted[min(int(len(self._sorted) * share), len(self._sorted) - 1)]


class Witness:
    """A well-behaved client, which calls ``echo`` every few milliseconds; made by :func:`witness`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._latencies: Latencies | None = None

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def begin_again(self) -> None:
        """Let it forget the latencies up to now."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"begin again\n")

    async def result(self) -> Latencies:
        """Let it end, and return its latencies."""
        if self._latencies is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._latencies = Latencies((await read_answer(self._process))["latencies"])
        return self._latencies


@asynccontextmanager
async def witness(server: AttackedServer) -> AsyncIterator[Witness]:
    """Run a well-behaved client in a process of its own while the context lasts."""
    async with witness_at(server.port) as witness:
        yield witness


@asynccontextmanager
async def witness_at(port: int) -> AsyncIterator[Witness]:
    """Run a well-behaved client of a server that answers ``echo``, in a process of its own, while the context lasts."""
    async with running_program("tests.support.witness_program", str(port)) as process:
        await read_answer(process)  # it has been answered
        yield Witness(process)


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def _changed(given: Any, default: Any) -> dict[str, Any]:
    return {
        field.name: getattr(given, field.name)
        for field in dataclasses.fields(given)
        if getattr(given, field.name) != getattr(default, field.name)
    }
