from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from crosswire import Close, Heartbeat, Server
from crosswire.cluster.interface import Bus
from crosswire.core.envelopes import Claim
from crosswire.transport.interface import Response
from crosswire.transport.memory import MemoryClient, MemoryListener
from tests.integration.cluster.scripted_node import scripted_node
from tests.integration.cluster.support import client, received, running_servers
from tests.support.aio import wait_until

USERS = 1000
PATIENT = Heartbeat(probe=30)
"""No connection counts as dead as this process gets no CPU for a second."""
REPLACED = 4012


async def log_in(server: Server, user: str) -> MemoryClient:
    peer = await MemoryListener(server.acceptor, server.limits).connect(f"/?id={user}", (), "127.0.0.1")
    assert not isinstance(peer, Response)
    return peer


def connections(servers: Iterable[Server]) -> Counter[str]:
    return Counter(socket.user for server in servers for socket in server.sockets)


@pytest.mark.parametrize("duplicates", ["replace", "refuse"])
async def test_a_thousand_users_on_three_nodes_at_once_keep_one_connection_each(bus: Bus, duplicates: str) -> None:
    async with running_servers(bus, "a", "b", "c", duplicates=duplicates, heartbeat=PATIENT) as servers:
        gone: list[tuple[str, Close]] = []
        for server in servers:
            server.on_disconnect(lambda socket, close: gone.append((socket.user, close)))
        users = [str(number) for number in range(USERS)]
        peers: list[MemoryClient] = []
        for user in users:  # a user's three logins are less than 50 ms apart, and no node has heard of another's
            peers += [await log_in(server, user) for server in servers]
        await wait_until(lambda: connections(servers) == Counter(users), timeout=60)  # 0.1 to 0.2 s as a rule
        await wait_until(lambda: len(gone) == 2 * USERS, timeout=60)
        assert Counter(user for user, _ in gone) == Counter(dict.fromkeys(users, 2))
        assert {close.code for _, close in gone} == {REPLACED}
        assert connections(servers) == Counter(users)  # and no user lost the last one
        reached = await servers[0].everyone.count()
        assert (reached, reached.missing) == (USERS, ())


@pytest.mark.parametrize(("duplicates", "survivor"), [("replace", "b"), ("refuse", "a")])
async def test_the_newer_of_two_connections_of_a_user_stays(bus: Bus, duplicates: str, survivor: str) -> None:
    async with running_servers(bus, "a", "b", duplicates=duplicates) as (a, b), client(a, "1") as first:
        second = await log_in(b, "1")
        close = await (first.closed() if survivor == "b" else second.receive(timeout=20))
        assert isinstance(close, Close)
        assert close.code == REPLACED
        assert {server.name for server in (a, b) if server.socket_of("1")} == {survivor}
        second.close()


async def test_allow_keeps_all_connections(bus: Bus) -> None:
    async with (
        running_servers(bus, "a", "b", duplicates="allow") as (a, b),
        client(a, "1") as one,
        client(b, "1") as two,
        client(b, "1") as three,
    ):
        for sender in (a, b):
            sender.user("1").send("x")
            sender.everyone.send("end")
            for peer in (one, two, three):
                assert await received(peer) == [("x", None)]
        assert await a.everyone.count() == 1
        assert len(a.sockets) + len(b.sockets) == 3


async def test_a_stale_connection_that_closes_late_does_not_unregister_the_new_one(
    bus: Bus, listened: Callable[[], dict[str, int]]
) -> None:
    async with running_servers(bus, "a", "b") as (a, b), client(a, "1") as old, client(b, "1") as new:
        assert (await old.closed()).code == REPLACED
        await wait_until(lambda: listened()["u:1"] == 1)
        a.user("1").send("x")
        assert (await new.receive()).event == "x"
        async with client(a, "1") as newest:  # it comes back to where it was
            assert (await new.closed()).code == REPLACED
            b.user("1").send("y")
            assert (await newest.receive()).event == "y"


async def test_identify_replaces_a_connection_on_another_node(bus: Bus) -> None:
    async with running_servers(bus, "a", "b") as (a, b), client(a, "1") as old, client(b, "2") as renamed:
        socket = b.socket_of("2")
        assert socket is not None
        await socket.identify("1")
        assert (await old.closed()).code == REPLACED
        a.user("1").send("x")
        assert (await renamed.receive()).event == "x"


async def test_the_claim_of_an_older_connection_is_answered_with_the_newer_claim(bus: Bus) -> None:
    async with running_servers(bus, "a") as (a,), client(a, "1") as peer, scripted_node(bus) as scripted:
        bodies: list[bytes] = []
        channel = scripted.channels.user("1")
        scripted.port.subscribe(channel, bodies.append)
        await scripted.port.wait_listening(channel)
        scripted.say(channel, Claim(scripted.incarnation, 1))
        await wait_until(lambda: bodies)
        assert await peer.call("hello") == "a"
        scripted.say(channel, Claim(scripted.incarnation, 2**62))
        assert (await peer.closed()).code == REPLACED
