"""``crosswire users``, ``rooms``, ``kick``, and ``send`` to nobody, against two workers and their clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from crosswire import Redis
from crosswire.core.membership import BEAT_INTERVAL
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cli.clients import guest, guests_of_all
from tests.integration.cli.program import Result, crosswire, port_of, serving
from tests.integration.cluster.scripted_node import scripted_node

WORKERS = ("web-1", "web-2")


class Cluster:
    """Workers, and the options that name their Redis."""

    def __init__(self, port: int, *options: str) -> None:
        self.port = port
        self._options = options

    async def talk(self, *words: str) -> Result:
        return await asyncio.to_thread(crosswire, *words, *self._options)

    async def shown(self, *words: str) -> dict[str, Any]:
        """Run a command that prints JSON and has all the answers."""
        code, out, err = await self.talk(*words, "--json")
        assert (code, err) == (0, "")
        shown: dict[str, Any] = json.loads(out)
        return shown


@pytest.fixture(scope="module")
def cluster(redis: RedisProcess) -> Iterator[Cluster]:
    options = ("--redis", redis.url, "--prefix", "clients:")
    with serving("app:server", "--workers", "2", "--port", "0", *options) as served:
        yield Cluster(port_of(served), *options)


async def test_without_clients_the_lists_are_empty(cluster: Cluster) -> None:
    users, rooms = await asyncio.gather(cluster.talk("users"), cluster.talk("rooms"))
    assert (users, rooms) == (Result(0, "0 users\n", ""), Result(0, "0 rooms\n", ""))


async def test_users_are_shown_with_their_nodes(cluster: Cluster) -> None:
    async with guests_of_all(cluster.port, WORKERS) as guests:
        here = guests["web-1"].user
        everyone, one = await asyncio.gather(
            cluster.shown("users", "--starts", "guest-"), cluster.talk("users", "--user", here)
        )
        places = {each["user"]: each["nodes"] for each in everyone["users"]}
        assert len(places) == everyone["total"] >= 2
        assert all(places[one.user] == {worker: 1} for worker, one in guests.items())
        assert one == Result(0, f"USER     CONNECTIONS  NODES\n{here}  1            web-1\n\n1 user\n", "")


async def test_rooms_are_shown_with_their_nodes(cluster: Cluster) -> None:
    async with guests_of_all(cluster.port, WORKERS) as guests:
        for one in guests.values():
            await one.client.call("join", "lobby")
        await guests["web-1"].client.call("join", "annex")
        rooms, chosen, members, first = await asyncio.gather(
            cluster.shown("rooms"),
            cluster.shown("rooms", "--namespace", "chat", "--starts", "l"),
            cluster.shown("users", "--room", "chat", "lobby"),
            cluster.talk("rooms", "--limit", "1"),
        )
        lobby = {"namespace": "chat", "id": "lobby", "nodes": {"web-1": 1, "web-2": 1}, "members": 2}
        annex = {"namespace": "chat", "id": "annex", "nodes": {"web-1": 1}, "members": 1}
        assert (rooms["rooms"], chosen["rooms"]) == ([annex, lobby], [lobby])
        assert [each["user"] for each in members["users"]] == sorted(one.user for one in guests.values())
        assert (first.code, first.err) == (0, "")
        lines = [line.split() for line in first.out.splitlines()]
        assert lines[:2] == [["NAMESPACE", "ID", "MEMBERS", "NODES"], ["chat", "annex", "1", "web-1"]]
        assert first.out.endswith("\n\n1 of at least 2 rooms; --limit N shows more\n")


async def test_kick_closes_the_connection_of_a_user_wherever_it_is(cluster: Cluster) -> None:
    async with guest(cluster.port, "13") as one, guest(cluster.port, "14") as other:
        assert await cluster.talk("kick", "13") == Result(0, f"closed 1 connection: {one.worker}\n", "")
        assert await one.closed() == (4010, "")
        assert await cluster.shown("kick", "14", "--code", "4000", "--reason", "bye") == {
            "user": "14",
            "closed": {other.worker: 1},
            "missing": [],
        }
        assert await other.closed() == (4000, "bye")


async def test_kick_says_that_nobody_was_there(cluster: Cluster) -> None:
    assert await cluster.talk("kick", "nobody") == Result(1, "", "user 'nobody' is not connected\n")
    code, out, err = await cluster.talk("kick", "nobody", "--json")
    assert (code, json.loads(out)["closed"], err) == (1, {}, "user 'nobody' is not connected\n")


@pytest.mark.parametrize(
    ("audience", "why"),
    [
        (("--user", "nobody"), "user 'nobody' is not connected"),
        (("--users", "nobody,neither"), "none of the users is connected"),
        (("--room", "chat", "empty"), "the room 'chat empty' is empty"),
        (("--everyone",), "no client is connected"),
    ],
)
async def test_send_says_that_nobody_got_it(cluster: Cluster, audience: tuple[str, ...], why: str) -> None:
    assert await cluster.talk("send", "news", *audience) == Result(1, "", f"nobody got it: {why}\n")


def test_send_says_that_there_are_no_nodes(redis: RedisProcess) -> None:
    words = ("send", "news", "--nodes", "--redis", redis.url, "--prefix", "nobody:")
    assert crosswire(*words) == Result(1, "", "nobody got it: there is no other node\n")


async def test_send_names_the_users_that_did_not_get_it(cluster: Cluster) -> None:
    async with guest(cluster.port, "1") as one:
        result = await cluster.talk("send", "news", "5", "--user", "1", "--user", "nobody")
        assert result == Result(0, "", "user 'nobody' is not connected\n")
        assert await one.hears() == ("news", 5)


async def test_send_in_a_compat_cluster_does_not_speak_for_original_servers(redis: RedisProcess) -> None:
    with serving("app:among_originals", "--redis", redis.url, "--prefix", "mixed-clients:") as served:
        cluster = Cluster(port_of(served), "--redis", redis.url, "--prefix", "mixed-clients:")
        compat = ("--compat", "msgpack")
        result = await cluster.talk("send", "news", "--user", "nobody", *compat)
        assert result == Result(0, "", "nobody on Crosswire's servers got it; others do not tell\n")
        async with guest(cluster.port, "1") as one:
            assert await cluster.talk("send", "news", "--user", "1", *compat) == Result(0, "", "")
            assert await one.hears() == ("news", None)
            assert (await cluster.shown("users", *compat))["total"] == 1


async def test_a_node_that_does_not_answer_is_named(redis: RedisProcess) -> None:
    async def beat() -> None:
        while True:
            scripted.native.announce(scripted.beat_of())
            await asyncio.sleep(BEAT_INTERVAL)

    cluster = Cluster(0, "--redis", redis.url, "--prefix", "silent-clients:")
    async with scripted_node(Redis(redis.url, prefix="silent-clients:"), serves=True) as scripted:
        beating = asyncio.create_task(beat())
        commands = (("users",), ("rooms", "--json"), ("kick", "1"), ("send", "news", "--user", "1"))
        listed, rooms, kicked, sent = await asyncio.gather(*(cluster.talk(*words) for words in commands))
        beating.cancel()
    assert listed == Result(1, "0 users\n", "no answer from scripted\n")
    assert (rooms.code, json.loads(rooms.out)["missing"], rooms.err) == (1, ["scripted"], listed.err)
    assert kicked == Result(1, "", listed.err)
    assert sent == Result(1, "", "nobody got it: user '1' is not connected; no answer from scripted\n")
