"""Refusals by the ACL of a Redis reach the caller and the log."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from crosswire import BusUnavailable, CloseCode, ConfigError, Heartbeat, Node, Redis, Server
from crosswire.testing import connect
from crosswire.testing.redis_process import RedisProcess
from crosswire.types import SubscriptionFailure
from tests.integration.cluster.support import client, connection_of, make_server, received, running
from tests.support.aio import wait_until

NEEDED = ("p:*", "a", "e", "n:*", "i:*", "u:*")


@pytest.fixture(scope="module")
def one() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


@pytest.fixture(scope="module")
def two() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


def allow(redis: RedisProcess, user: str, *patterns: str) -> None:
    """Let a user use these channels and no others, from now on."""
    channels = [f"&{user}:{pattern}" for pattern in patterns]
    redis.command("ACL", "SETUSER", user, "on", ">pw", "+@all", "~*", "resetchannels", *channels)


def bus_of(user: str, *processes: RedisProcess, **options: Any) -> Redis:
    """A bus whose channels begin with the user's name."""
    return Redis([process.url_as(user, "pw") for process in processes], prefix=f"{user}:", **options)


@pytest.fixture
def user() -> str:
    return f"bob{secrets.token_hex(4)}"


def failures_of(server: Server) -> list[SubscriptionFailure]:
    failures: list[SubscriptionFailure] = []
    server.cluster.on_subscription_error(failures.append)
    return failures


async def test_a_join_fails_if_the_channel_of_the_room_is_forbidden(
    one: RedisProcess, two: RedisProcess, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    for process in (one, two):
        allow(process, user, *NEEDED)
    server = make_server("a", bus_of(user, one, two))
    failures = failures_of(server)
    async with running(server), client(server, "1") as peer:
        (socket,) = server.sockets
        joining = [asyncio.create_task(socket.join("chat", "r")) for _ in range(2)]
        for each in await asyncio.gather(*joining, return_exceptions=True):
            assert isinstance(each, BusUnavailable)
            assert "r:4:chatr" in str(each)
            assert "NOPERM" in str(each)
            assert "ACL" in str(each)
        assert socket.rooms == {}
        assert not await server.room("chat", "r").count()
        replies = await server.room("chat", "r").add("1")
        assert replies.errors["a"].code == "BUS_UNAVAILABLE"
        assert socket.rooms == {}
        with pytest.raises(Exception, match="HANDLER_ERROR"):
            await peer.call("join", ["chat", "r"])
        assert {failure.channel for failure in failures} == {f"{user}:r:4:chatr"}
        assert {failure.url for failure in failures} == {one.url, two.url}
        warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
        assert any("NOPERM" in each and "does not let this node listen" in each for each in warnings)
        # Nobody has to start anything anew when the ACL is mended.
        for process in (one, two):
            allow(process, user, *NEEDED, "r:*")
        await socket.join("chat", "r")
        assert socket.rooms == {"chat": {"r"}}


async def test_identify_fails_if_the_channel_of_the_user_is_forbidden(one: RedisProcess, user: str) -> None:
    allow(one, user, *(each for each in NEEDED if each != "u:*"), "u:bob", "u:1")
    server = make_server("a", bus_of(user, one))
    async with running(server), client(server, "1"):
        (socket,) = server.sockets
        with pytest.raises(BusUnavailable, match="u:eve"):
            await socket.identify("eve")
        assert socket.user == "1"
        assert server.socket_of("1") is socket
        assert server.socket_of("eve") is None
        await socket.identify("bob")
        assert socket.user == "bob"


async def test_a_connection_is_served_though_the_channel_of_its_user_is_forbidden(
    one: RedisProcess, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    allow(one, user, *(each for each in NEEDED if each != "u:*"))
    server = make_server("a", bus_of(user, one))
    async with running(server), client(server, "1") as peer:
        server.user("1").send("end")
        assert await received(peer) == []
        assert not [each for each in caplog.records if each.levelno > logging.WARNING]
        assert any(f"{user}:u:1" in each.getMessage() for each in caplog.records)


async def test_a_failed_subscription_keeps_no_handler(one: RedisProcess, user: str) -> None:
    allow(one, user, *NEEDED, "c:good")
    node, heard = Node("a", redis=bus_of(user, one)), list[Any]()
    async with running(node):
        with pytest.raises(BusUnavailable, match="c:bad"):
            await node.subscribe("bad", lambda _sender, data: heard.append(data))
        await node.subscribe("good", lambda _sender, data: heard.append(data))
        node.publish("bad", 1)
        node.publish("good", 2)
        await wait_until(lambda: heard)
        assert heard == [2]
    async with running(node):  # what was refused is not tried again
        assert node.running


@pytest.mark.parametrize("missing", ["a", "n:*", "i:*", "e"])
async def test_a_node_does_not_start_without_its_channels(one: RedisProcess, user: str, missing: str) -> None:
    allow(one, user, *(each for each in NEEDED if each != missing))
    server = make_server("a", bus_of(user, one))
    with pytest.raises(ConfigError, match="NOPERM"):
        await server.start(listen=False)
    assert not server.running


async def test_names_and_users_are_unique_without_the_right_to_count_listeners(
    one: RedisProcess, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    one.command("ACL", "SETUSER", user, "on", ">pw", "resetchannels", f"&{user}:*", "-@all")
    one.command("ACL", "SETUSER", user, "+publish", "+subscribe", "+unsubscribe", "+ping")
    patient = {"duplicates": "refuse", "heartbeat": Heartbeat(probe=2)}
    first, second = (make_server(name, bus_of(user, one), **patient) for name in "ab")
    async with running(first, second), client(first, "1") as old:
        with pytest.raises(ConfigError, match="'a'"):
            await Node("a", redis=bus_of(user, one)).start()
        async with connect(second, "/?id=1") as new:
            assert (await new.closed()).code == CloseCode.REPLACED
        assert not second.sockets
        assert await old.call("hello") == "a"
    assert any("pubsub|numsub" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("missing", ["csbp:server_bridge", "ws:broadcast", "ws:private_socket"])
async def test_users_are_unique_among_original_servers_too(one: RedisProcess, user: str, missing: str) -> None:
    allow(one, user, *NEEDED)
    channels = {"csbp:server_bridge", "ws:broadcast", "ws:private_socket"} - {missing}
    one.command("ACL", "SETUSER", user, *(f"&{each}" for each in sorted(channels)))
    server = make_server("a", bus_of(user, one, compat=True))
    with pytest.raises(ConfigError, match=missing):
        await server.start(listen=False)


async def test_a_room_that_one_redis_refuses_is_heard_over_the_other(
    one: RedisProcess, two: RedisProcess, user: str
) -> None:
    allow(one, user, *NEEDED)
    allow(two, user, *NEEDED, "r:*")
    here = make_server("here", bus_of(user, one, two))
    failures = failures_of(here)
    there = make_server("there", Redis([one.url, two.url], prefix=f"{user}:"))
    async with running(here, there), client(here, "1") as peer:
        for number in range(10):  # some of them go over the one, some over the other
            await peer.call("join", ["chat", f"{number}"])
        assert {failure.url for failure in failures} == {one.url}
        members = connection_of(there).members
        await wait_until(lambda: members._members.common_paths() == frozenset({two.url.removeprefix("redis://")}))
        for number in range(10):
            there.room("chat", f"{number}").send("x", number)
            await peer.receive("x")
        for number in range(10):
            await peer.call("leave", ["chat", f"{number}"])
        await wait_until(lambda: len(members._members.common_paths() or ()) == 2)


async def test_a_forbidden_publish_is_reported(one: RedisProcess, user: str, caplog: pytest.LogCaptureFixture) -> None:
    allow(one, user, *NEEDED)
    node = Node("a", redis=bus_of(user, one))
    async with running(node):
        for _ in range(3):
            node.room("chat", "r").send("x", "secret text")
        await wait_until(lambda: node.dropped == 3)
        (status,) = node.redis.status()
        assert "NOPERM" in str(status.last_error)
        assert status.healthy
        (line,) = [each.getMessage() for each in caplog.records if "refuses to publish" in each.getMessage()]
        assert f"{user}:r:4:chatr" in line
        assert "lost" in line
        assert "secret" not in line


async def test_a_message_forbidden_on_one_redis_is_published_on_another(
    one: RedisProcess, two: RedisProcess, user: str
) -> None:
    writer = f"writer{user}"
    for process in (one, two):
        allow(process, user, *NEEDED, "r:*")
        may = NEEDED if process is one else (*NEEDED, "r:*")
        process.command("ACL", "SETUSER", writer, "on", ">pw", "+@all", "~*", *(f"&{user}:{each}" for each in may))
    server = make_server("a", bus_of(user, one, two))
    sender = Node("b", redis=Redis([process.url_as(writer, "pw") for process in (one, two)], prefix=f"{user}:"))
    async with running(server, sender), client(server, "1") as peer:
        for number in range(10):
            await peer.call("join", ["chat", f"{number}"])
            sender.room("chat", f"{number}").send("x", number)
        assert sorted([(await peer.receive("x")).data for _ in range(10)]) == list(range(10))
        assert sender.dropped == 0
        assert "NOPERM" in str(sender.redis.status()[0].last_error)
