"""A client that comes and goes, joins, leaves and changes its user: what it is told about its room is true."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire.core.positions import LogPosition, parse_position
from crosswire.core.targets import Excluded
from crosswire.server.authentication import Verdict
from crosswire.server.session import Session
from crosswire.testing.virtual_clock import VirtualClockLoop
from tests.support.aio import run
from tests.support.fakes import FakeConnection, FakeServer
from tests.support.history import ROOM, HistoryChannels
from tests.unit.server.test_room_joins import history_server, until_let_in

USERS = ("1", "2")


class RoamingClient:
    """A client that keeps its position as docs/protocol.md says, and the messages that it handled.

    Attributes:
        heard: offsets of the messages, in order.
        start: the offset from which on nothing may be missing; None while it has no position.
    """

    def __init__(self, server: FakeServer, user: str) -> None:
        self.server = server
        self.user = user
        self.position: LogPosition | None = None
        self.start: int | None = None
        self.heard: list[int] = []
        self.session: Session | None = None
        self.connection = FakeConnection()

    async def connect(self) -> None:
        if self.session is None:
            offered = "" if self.position is None else str(self.position)
            target = f"/?_cw=2&_cw_at={offered}"
            self.session, self.connection = self.server.connect(Verdict(user=self.user), target=target)
            await until_let_in(self.session, self.connection)

    async def disconnect(self, *, lost: int = 0) -> None:
        """Close the connection; the last frames of those that were sent are lost with it."""
        if self.session is not None:
            await asyncio.sleep(0)
            del self.connection.frames[len(self.connection.frames) - lost :]
            await self.read()
            self.session.socket.close()
            self.session = None
            await asyncio.sleep(0)

    async def read(self) -> None:
        await asyncio.sleep(0)
        messages = self.connection.messages
        self.connection.frames.clear()
        for message in messages:
            if message["event"] == "$room":
                self.told(message["payload"])
            elif message["event"] == "$left":
                self.position = self.start = None
            else:
                self.take(message)

    def told(self, payload: dict[str, Any]) -> None:
        at = None if payload["at"] is None else parse_position(payload["at"])
        if payload["recovered"]:
            assert self.position is not None, "a client without a position is not recovered"
            assert at is not None
            assert at.offset >= self.position.offset
        else:
            self.start = None if at is None else at.offset
            self.heard.clear()
        self.position = at

    def take(self, message: dict[str, Any]) -> None:
        at = parse_position(message["at"])
        assert at is not None
        if self.position is not None and self.position.epoch == at.epoch:
            assert at.offset > self.position.offset, "twice, or out of order"
            self.position = at
        self.heard.append(at.offset)

    def check(self, said: dict[int, tuple[str, ...]]) -> None:
        """Check that all that was said for it since its start, up to its position, was heard once and in order."""
        if self.start is None or self.position is None:
            return
        expected = [offset for offset, excluded in said.items() if self.start < offset and self.user not in excluded]
        heard = [offset for offset in self.heard if offset > self.start]
        assert heard == expected[: len(heard)], (heard, expected)
        missing = expected[len(heard) :]
        assert all(offset > self.position.offset for offset in missing), (missing, self.position)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["say", "say", "say", "connect", "connect", "disconnect", "lose", "join", "join", "leave", "rewind", "hold"]
        ),
        st.sampled_from(["1", "1", "1", "2"]),
        st.lists(st.sampled_from(USERS), max_size=1),
    ),
    min_size=15,
    max_size=60,
)


async def roam(steps: list[tuple[str, str, list[str]]]) -> None:
    async with history_server() as (server, channels):
        clients = {user: RoamingClient(server, user) for user in USERS}
        said: dict[int, tuple[str, ...]] = {}
        for step, user, excluded in steps:
            await take_step(clients[user], channels, said, step, excluded)
        for client in clients.values():
            await client.read()
            client.check(said)
            in_room = client.session is not None and client.session.socket.rooms
            if in_room and client.start is not None and client.position is not None:
                missing = [n for n, users in said.items() if n > client.position.offset and client.user not in users]
                assert missing == [], "a member has heard all"
            await client.disconnect()
        assert channels.subscribed == {}


async def take_step(
    client: RoamingClient, channels: HistoryChannels, said: dict[int, tuple[str, ...]], step: str, excluded: list[str]
) -> None:
    session = client.session
    if step == "say":
        said[len(said) + 1] = tuple(excluded)
        channels.say(len(said), Excluded(tuple(excluded)) if excluded else None)
    elif step == "connect":
        await client.connect()
    elif step == "disconnect":
        await client.disconnect()
    elif step == "lose":
        await client.disconnect(lost=min(len(client.connection.frames), 1 + len(excluded)))
    elif session is not None and step in ("join", "rewind"):
        await session.socket.join(ROOM.namespace, ROOM.id, rewind=3 if step == "rewind" else 0)
    elif session is not None and step == "hold":  # something is said while a join waits
        channels.readable.clear()
        join = asyncio.ensure_future(session.socket.join(ROOM.namespace, ROOM.id))
        await asyncio.sleep(0)
        said[len(said) + 1] = tuple(excluded)
        channels.say(len(said), Excluded(tuple(excluded)) if excluded else None)
        channels.readable.set()
        await join
    elif session is not None:
        await session.socket.leave(ROOM.namespace, ROOM.id)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_what_a_roaming_client_is_told_is_true(steps: list[tuple[str, str, list[str]]]) -> None:
    run(roam(steps), VirtualClockLoop)
