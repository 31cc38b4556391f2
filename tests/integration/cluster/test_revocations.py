"""Revocations on all nodes, also on those that were cut off."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from crosswire import CloseCode, Node, Redis, Server
from crosswire.cluster.interface import Bus
from crosswire.core.revocations import RevocationTable
from crosswire.testing import EventClient, connect
from crosswire.testing.proxy import TcpProxy
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.redis.support import Stopwatch
from tests.integration.cluster.support import DETECTION_TIMEOUT, WAIT_TIMEOUT, make_server, running
from tests.support.aio import wait_until
from tests.support.tokens import make_token, token_server

REVOKED_WITHIN = 1.0
"""Seconds in which a connection is closed everywhere."""
BACK_WITHIN = 10.0
"""Seconds in which a node that was cut off is back, has asked, and has closed what was revoked."""


def table_of(member: Server | Node) -> RevocationTable:
    return (member.cluster if isinstance(member, Server) else member).revocations.table


@asynccontextmanager
async def client(server: Server, token: str) -> AsyncIterator[EventClient]:
    """A client with a token that has had its first answer."""
    async with connect(server, f"/?token={token}") as peer:
        await peer.call("claims")
        yield peer


async def code_of(peer: EventClient, timeout: float = WAIT_TIMEOUT) -> int:
    return (await asyncio.wait_for(peer.closed(), timeout)).code


async def refused(server: Server, token: str) -> bool:
    async with connect(server, f"/?token={token}") as peer:
        return await code_of(peer) == CloseCode.AUTH_FAILED


async def test_a_user_is_logged_out_on_all_servers_and_old_tokens_are_refused_there(bus: Bus) -> None:
    first, second = token_server(name="first", bus=bus), token_server(name="second", bus=bus)
    worker = Node("worker", bus=bus)
    token, other = make_token(jti="t"), make_token("bob")
    async with running(first, second, worker), client(first, token) as here, client(second, other) as stays:
        async with client(second, make_token(jti="u", iat=time.time() - 5)) as there:
            watch = Stopwatch()
            replies = await worker.revoke(user="ada")
            assert await code_of(there) == CloseCode.FORCED_LOGOUT
            assert watch.awake < REVOKED_WITHIN
        assert replies.complete
        # The policy for duplicates has closed the connection to the first server before.
        assert dict(replies) == {"first": 0, "second": 1}
        assert await code_of(here) == CloseCode.REPLACED
        assert await refused(first, token)
        assert await refused(second, token)
        assert await stays.call("claims")
        assert len(table_of(first)) == len(table_of(second)) == len(table_of(worker)) == 1


async def test_a_token_is_revoked_on_all_servers(bus: Bus) -> None:
    first = token_server(name="first", bus=bus, duplicates="allow")
    second = token_server(name="second", bus=bus, duplicates="allow")
    token = make_token(jti="t")
    async with (
        running(first, second),
        client(first, token) as one,
        client(second, token) as two,
        client(second, make_token(jti="other")) as three,
    ):
        assert dict(await first.revoke(token_id="t")) == {"first": 1, "second": 1}
        assert await code_of(one) == await code_of(two) == CloseCode.FORCED_LOGOUT
        assert await three.call("claims")


async def test_users_without_tokens_are_logged_out_too(bus: Bus) -> None:
    first, second = make_server("first", bus), make_server("second", bus)
    async with running(first, second), connect(second, "/?id=ada") as peer:
        await peer.call("hello")
        assert dict(await first.revoke(user="ada")) == {"first": 0, "second": 1}
        assert await code_of(peer) == CloseCode.FORCED_LOGOUT
        async with connect(second, "/?id=ada") as again:
            assert await again.call("hello") == "second"


async def test_a_node_that_joins_later_learns_what_was_revoked(bus: Bus) -> None:
    first, late = token_server(name="first", bus=bus), token_server(name="late", bus=bus)
    token = make_token()
    async with running(first):
        await first.revoke(user="ada")
        async with running(late):
            await wait_until(lambda: len(table_of(late)) == 1)
            assert await refused(late, token)


@pytest.mark.parametrize("seconds", ["a moment", "long enough to count as dead"])
async def test_a_node_that_was_cut_off_learns_of_it_when_it_is_back(redis_process: RedisProcess, seconds: str) -> None:
    prefix, port = f"test-{secrets.token_hex(4)}:", urlsplit(redis_process.url).port
    assert port is not None
    async with TcpProxy("127.0.0.1", port) as proxy:
        here = token_server(name="here", bus=Redis(redis_process.url, prefix=prefix))
        away = token_server(name="away", bus=Redis(f"redis://127.0.0.1:{proxy.port}", prefix=prefix))
        async with running(here, away), client(away, make_token(jti="t")) as peer, client(away, make_token("b")) as b:
            proxy.refuse()
            proxy.cut()
            if seconds != "a moment":
                await wait_until(lambda: "away" not in here.cluster.nodes, DETECTION_TIMEOUT)
            await here.revoke(token_id="t")
            assert len(table_of(away)) == 0
            assert await peer.call("claims"), "nobody could tell it"
            proxy.refuse(False)
            assert await code_of(peer, BACK_WITHIN) == CloseCode.FORCED_LOGOUT
            assert await b.call("claims")


async def test_what_was_revoked_on_a_node_that_was_cut_off_is_told_when_it_is_back(redis_process: RedisProcess) -> None:
    prefix, port = f"test-{secrets.token_hex(4)}:", urlsplit(redis_process.url).port
    assert port is not None
    async with TcpProxy("127.0.0.1", port) as proxy:
        here = token_server(name="here", bus=Redis(redis_process.url, prefix=prefix))
        away = token_server(name="away", bus=Redis(f"redis://127.0.0.1:{proxy.port}", prefix=prefix))
        async with running(here, away), client(here, make_token(jti="t")) as peer:
            proxy.refuse()
            proxy.cut()
            await wait_until(lambda: not away.cluster.bus_available)
            replies = await away.revoke(token_id="t")
            assert replies.missing == ("here",)
            proxy.refuse(False)
            assert await code_of(peer, BACK_WITHIN) == CloseCode.FORCED_LOGOUT


async def test_a_revocation_that_makes_no_sense_is_not_taken_from_the_bus(bus: Bus) -> None:
    first, second = token_server(name="first", bus=bus), Node("second", bus=bus)
    async with running(first, second):
        requester = second._lifecycle.connection().requester
        for rubbish in (None, [], ["ada"], {"user": "ada"}, ["ada", "t", "now", "later"], [None, None, 0.0, 1e12]):
            replies = await requester.gather_service("revoke", rubbish, 3.0)
            assert not replies.missing
        assert len(table_of(first)) == 0
