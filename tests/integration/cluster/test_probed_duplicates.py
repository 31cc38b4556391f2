"""Duplicate connections of a user with the older one on another server, as in server/test_probed_duplicates.py."""

from __future__ import annotations

import asyncio

import pytest

from crosswire import Heartbeat, Reject
from crosswire.cluster.interface import Bus
from crosswire.testing import connect
from crosswire.types import Close
from tests.integration.cluster.support import client, running_servers
from tests.support.aio import wait_until

PROBE = Heartbeat(probe=0.5)
LOCKED_OUT = Close(4012, "the user is connected already")


async def test_a_living_connection_on_another_server_refuses_a_newer_one(bus: Bus) -> None:
    async with running_servers(bus, "a", "b", duplicates="refuse", heartbeat=PROBE) as (a, b), client(a, "1") as old:
        greeted: list[str] = []
        b.on("said", lambda: greeted.append("said"))
        async with connect(b, "/?id=1") as new:
            new.send("said")
            assert await new.closed() == LOCKED_OUT
        assert await old.call("hello") == "a"
        assert not b.sockets
        assert greeted == []  # it was never let in


async def test_a_dead_connection_on_another_server_is_dropped_for_a_newer_one(bus: Bus) -> None:
    async with running_servers(bus, "a", "b", duplicates="refuse", heartbeat=PROBE) as (a, b), client(a, "1") as old:
        old.peer.pause_reading()  # and answers no ping
        async with connect(b, "/?id=1") as new:
            assert await new.call("hello") == "b"
            await wait_until(lambda: not a.sockets)
            assert [socket.user for socket in b.sockets] == ["1"]
            a.user("1").send("news")
            assert (await new.receive("news")).event == "news"


async def test_a_connection_that_died_at_once_is_dropped_too(bus: Bus) -> None:
    """The claim of the dead connection may reach the server of the newer one after its death."""
    servers = running_servers(bus, "a", "b", duplicates="refuse", heartbeat=PROBE)
    async with servers as (a, b), connect(a, "/?id=1") as old:
        old.peer.pause_reading()
        await wait_until(lambda: bool(a.sockets))
        async with connect(b, "/?id=1") as new:
            assert await new.call("hello") == "b"
            await wait_until(lambda: not a.sockets)


@pytest.mark.parametrize("alive", [True, False])
async def test_identify_probes_the_older_connection_too(bus: Bus, alive: bool) -> None:
    async with (
        running_servers(bus, "a", "b", duplicates="refuse", heartbeat=PROBE) as (a, b),
        client(a, "1") as old,
        client(b, "2") as new,
    ):
        if not alive:
            old.peer.pause_reading()
        (socket,) = b.sockets
        if alive:
            with pytest.raises(Reject):
                await socket.identify("1")
            assert await new.closed() == LOCKED_OUT
            assert await old.call("hello") == "a"
        else:
            await socket.identify("1")
            assert await new.call("hello") == "b"
            await wait_until(lambda: not a.sockets)


async def test_one_of_two_connections_that_come_at_once_to_two_servers_stays(bus: Bus) -> None:
    async with running_servers(bus, "a", "b", duplicates="refuse", heartbeat=PROBE) as (a, b):
        for user in map(str, range(5)):
            async with connect(a, f"/?id={user}") as one, connect(b, f"/?id={user}") as two:
                calls = await asyncio.gather(one.call("hello"), two.call("hello"), return_exceptions=True)
                assert sorted(isinstance(each, Exception) for each in calls) == [False, True]
                assert len(a.sockets) + len(b.sockets) == 1


async def test_without_an_older_connection_there_is_no_probe(bus: Bus) -> None:
    patient = Heartbeat(probe=30)
    async with running_servers(bus, "a", "b", duplicates="refuse", heartbeat=patient) as (_, b), client(b, "1") as peer:
        assert await peer.call("hello") == "b"
