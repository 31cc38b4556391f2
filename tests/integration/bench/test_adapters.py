"""The adapters of the servers that are compared do the same work; those that are not installed are skipped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bench.native import NotInstalled, Serving
from bench.peers.peers import JSON, PEERS, Peer
from bench.peers.works import ASK, CALLS, FANOUT, ROOM, SAY_IN_ROOM, SPREAD, TELL, Setup
from websockets.asyncio.client import ClientConnection, connect

DEADLINE = 30.0
"""Seconds that a machine which stands still for a while may take for one of these conversations."""
SERVERS = [peer for peer in PEERS if peer.can >= {FANOUT, CALLS} and peer.can & {ROOM, SPREAD}]
"""Peers that know rooms, or others of their kind."""


class JsonClient:
    """A client of the original's protocol."""

    PATH = "/?id={id}"

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def open(self) -> None:
        """Do nothing: whoever is connected is let in."""

    async def send(self, event: str, payload: object) -> None:
        """Send an event."""
        await self._connection.send(json.dumps({"event": event, "payload": payload}))

    async def call(self, event: str, payload: object) -> Any:
        """Call, and return the answer."""
        await self._connection.send(json.dumps({"event": event, "payload": payload, "callbackId": "a"}))
        message = json.loads(await self._connection.recv())
        assert message["callbackId"] == "a"
        return message["payload"]

    async def receive(self) -> tuple[str, Any]:
        """Return the next event with its payload."""
        message = json.loads(await self._connection.recv())
        return message["event"], message["payload"]


class SocketIoClient(JsonClient):
    """A client of Socket.IO 5 over Engine.IO 4."""

    PATH = "/socket.io/?EIO=4&transport=websocket&id={id}"

    async def open(self) -> None:
        """Join the default namespace."""
        await self._packet("0")
        await self._connection.send("40")
        await self._packet("40")

    async def send(self, event: str, payload: object) -> None:
        """Send an event."""
        await self._connection.send("42" + json.dumps([event, payload]))

    async def call(self, event: str, payload: object) -> Any:
        """Call, and return the answer."""
        await self._connection.send("427" + json.dumps([event, payload]))
        (answer,) = json.loads(await self._packet("437"))
        return answer

    async def receive(self) -> tuple[str, Any]:
        """Return the next event with its payload."""
        event, payload = json.loads(await self._packet("42"))
        return event, payload

    async def _packet(self, kind: str) -> str:
        """Return the next packet, which has to be of this kind, without the kind."""
        text = await self._connection.recv()
        while text == "2":  # Engine.IO's ping
            await self._connection.send("3")
            text = await self._connection.recv()
        assert isinstance(text, str)
        assert text.startswith(kind)
        return text.removeprefix(kind)


@asynccontextmanager
async def connected(peer: Peer, port: int, id: int) -> AsyncIterator[JsonClient]:
    """Connect a user, whom every node can reach."""
    kind = JsonClient if peer.dialect == JSON else SocketIoClient
    async with asyncio.timeout(DEADLINE), connect(f"ws://127.0.0.1:{port}{kind.PATH.format(id=id)}") as connection:
        client = kind(connection)
        await client.open()
        if TELL in peer.can:
            assert await client.call("hello", {}) == {"ok": True}
        yield client


@pytest.fixture(params=SERVERS, ids=lambda peer: peer.name)
def peer(request: pytest.FixtureRequest) -> Peer:
    found: Peer = request.param
    return found


@pytest.fixture
def alone(peer: Peer) -> Iterator[Serving]:
    yield from started(peer, Setup())


@pytest.fixture
def two(peer: Peer) -> Iterator[Serving]:
    if SPREAD not in peer.can:
        pytest.skip("it is one server")
    yield from started(peer, Setup(nodes=2, redis=1))


def started(peer: Peer, setup: Setup) -> Iterator[Serving]:
    try:
        with peer.start(setup) as serving:
            yield serving
    except NotInstalled as error:
        pytest.skip(str(error))


async def test_a_server_answers_and_sends_to_all_and_to_the_members_of_a_room(peer: Peer, alone: Serving) -> None:
    (port,) = alone.ports
    async with connected(peer, port, 1) as speaker, connected(peer, port, 2) as outsider:
        assert await speaker.call("say", {"text": "hi"}) == {"msg": "I am a reply to your say event"}
        if ROOM in peer.can:
            assert await speaker.call("join", {"room_id": "7"}) == {"ok": True}
        expected = [("news", {"text": "to all"})]
        if SAY_IN_ROOM in peer.can:
            await speaker.send("publish_room", {"room_id": "7", "text": "to the room"})
            expected.insert(0, ("news", {"text": "to the room"}))
        await speaker.send("publish", {"text": "to all"})
        assert [await speaker.receive() for _ in expected] == expected
        assert await outsider.receive() == ("news", {"text": "to all"})


async def test_nodes_reach_each_others_users_and_answer_each_other(peer: Peer, two: Serving) -> None:
    a, b = two.ports
    async with connected(peer, a, 1) as here, connected(peer, b, 2) as there:
        await here.send("publish", {"text": "to all"})
        assert await here.receive() == await there.receive() == ("news", {"text": "to all"})
        await here.send("tell", {"to": "2", "text": "to you"})
        assert await there.receive() == ("told", {"text": "to you"})
        await there.send("tell", {"to": "1", "text": "and to you"})
        assert await here.receive() == ("told", {"text": "and to you"})
        if ASK in peer.can:
            assert await here.call("ask", [1, 2, 3]) == 6
