"""Clusters in one process: servers, nodes, and their clients in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from crosswire import Handshake, MemoryBus, Node, Server, Socket
from crosswire.cluster.connection import ClusterConnection
from crosswire.cluster.interface import Bus
from crosswire.core.membership import BEAT_INTERVAL, DEAD_AFTER
from crosswire.testing import EventClient, connect
from crosswire.testing.redis_process import RedisProcess
from tests.support.aio import wait_until

WAIT_TIMEOUT = 5.0
"""Seconds after which a wait fails."""
MAX_STANDSTILL = 1.5
"""Seconds for which a busy machine may stop this process."""
DETECTION_TIMEOUT = 2 * (DEAD_AFTER + BEAT_INTERVAL) + MAX_STANDSTILL
"""Seconds in which others must notice that a node is silent; a node that was stopped itself counts anew."""


def connection_of(member: Server | Node) -> ClusterConnection:
    """Return what a running server or node keeps to itself: its connection to the cluster."""
    node = member.cluster if isinstance(member, Server) else member
    return node._lifecycle.connection()


def user_in_query(handshake: Handshake) -> str | None:
    return handshake.query.get("id")


def make_server(name: str, bus: Bus | None, **options: Any) -> Server:
    """A server that takes a client's word for who it is, and lets it join and leave rooms."""
    server = Server(name, port=0, bus=bus, **options)
    server.authenticate(user_in_query)

    @server.on("join")
    async def join(socket: Socket, data: list[str]) -> None:
        await socket.join(*data)

    @server.on("leave")
    async def leave(socket: Socket, data: list[str]) -> None:
        await socket.leave(*data)

    server.on("hello", lambda socket: server.name)
    server.on("me", lambda socket: socket.id)
    return server


@asynccontextmanager
async def running(*members: Server | Node) -> AsyncIterator[None]:
    """Start servers and nodes, wait until each knows all others, and stop them at the end."""
    async with AsyncExitStack() as stack:
        for each in members:
            if isinstance(each, Server):
                await each.start(listen=False)
            else:
                await each.start()
            stack.push_async_callback(each.stop)
        parts = [each.cluster if isinstance(each, Server) else each for each in members]
        names = {part.name for part in parts}
        await wait_until(lambda: all(names <= part.nodes.keys() for part in parts))
        yield


@asynccontextmanager
async def running_servers(bus: Bus, *names: str, **options: Any) -> AsyncIterator[list[Server]]:
    """Start servers of these names."""
    servers = [make_server(name, bus, **options) for name in names]
    async with running(*servers):
        yield servers


@asynccontextmanager
async def running_nodes(bus: Bus, *names: str) -> AsyncIterator[list[Node]]:
    """Start nodes of these names."""
    nodes = [Node(name, bus=bus) for name in names]
    async with running(*nodes):
        yield nodes


@asynccontextmanager
async def client(server: Server, user: str, headers: dict[str, str] | None = None) -> AsyncIterator[EventClient]:
    """A client that has had its first answer, so that it can be reached from everywhere."""
    async with connect(server, f"/?id={user}", headers) as peer:
        await peer.call("hello")
        yield peer


@asynccontextmanager
async def clients(places: dict[str, Server]) -> AsyncIterator[dict[str, EventClient]]:
    """A client for every user, each on its server."""
    async with AsyncExitStack() as stack:
        yield {user: await stack.enter_async_context(client(server, user)) for user, server in places.items()}


async def received(peer: EventClient, last: str = "end") -> list[Any]:
    """All events up to that one, as names and data."""
    events = []
    while (event := await peer.receive(timeout=WAIT_TIMEOUT)).event != last:
        events.append((event.event, event.data))
    return events


class RecordingHandler:
    """A handler of nodes' events or of a hook that notes its calls."""

    def __init__(self, answer: Any = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._answer = answer

    def __call__(self, sender: str, data: Any) -> Any:
        self.calls.append((sender, data))
        return self._answer


def listener_counts(bus: Bus, redis: RedisProcess | None = None) -> dict[str, int]:
    """The channels that somebody listens on, and how many do; without the prefix, and without probes."""
    if isinstance(bus, MemoryBus):
        counts = {channel.decode(): len(ports) for channel, ports in bus.ports.items()}
    else:
        assert redis is not None
        channels = redis.command("PUBSUB", "CHANNELS", f"{bus.prefix}*")
        flat = redis.command("PUBSUB", "NUMSUB", *channels)
        counts = dict(zip(flat[::2], flat[1::2], strict=True))
    plain = {channel.removeprefix(bus.prefix): count for channel, count in counts.items()}
    return {channel: count for channel, count in plain.items() if not channel.startswith("p:")}


def user_channels(users: Iterable[str]) -> set[str]:
    return {f"u:{user}" for user in users}


def room_channels(rooms: Iterable[tuple[str, str]]) -> set[str]:
    return {f"r:{len(namespace.encode())}:{namespace}{id_}" for namespace, id_ in rooms}
