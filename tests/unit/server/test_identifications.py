"""Calls of ``socket.identify`` for one connection that overlap, while other servers are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crosswire.errors import BusUnavailable
from crosswire.server.authentication import Verdict
from crosswire.server.duplicates import Duplicates
from crosswire.server.socket import Socket
from tests.support.aio import wait_until
from tests.support.fakes import FakeServer
from tests.support.history import HistoryChannels
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop


class SlowChannels(HistoryChannels):
    """Channels on which other servers know a user when the test says so.

    Attributes:
        awaited: the user of each wait, and the future that ends it; empty while waits take no time.
    """

    def __init__(self, server: FakeServer) -> None:
        super().__init__(server)
        self.slow = False
        self.awaited: list[tuple[str, asyncio.Future[None]]] = []

    async def user_ready(self, user: str) -> None:
        if self.slow:
            known: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.awaited.append((user, known))
            await known

    async def may_be_elsewhere(self, _user: str) -> bool:
        return False

    def know(self, number: int) -> None:
        """End one of the waits."""
        self.awaited[number][1].set_result(None)

    def refuse(self, number: int) -> None:
        """Let one of the waits fail."""
        self.awaited[number][1].set_exception(BusUnavailable("as the test says"))


@asynccontextmanager
async def identifying_socket(
    duplicates: Duplicates = "replace",
) -> AsyncIterator[tuple[Socket, FakeServer, SlowChannels]]:
    """Yield a socket of the user "0", its server, and the channels on which other servers are waited for."""
    server = FakeServer(duplicates=duplicates)
    channels = SlowChannels(server)
    channels.attach()
    session, _ = server.connect(Verdict(user="0"))
    await wait_until(lambda: session.ready_wait is None)
    channels.slow = True
    try:
        yield session.socket, server, channels
    finally:
        await server.end()


async def begin(socket: Socket, channels: SlowChannels, *users: str) -> list[asyncio.Task[None]]:
    """Call ``identify`` for each user, and wait until all calls wait for other servers."""
    calls = [asyncio.ensure_future(socket.identify(user)) for user in users]
    await wait_until(lambda: len(channels.awaited) == len(users))
    return calls


async def test_a_cancelled_call_leaves_the_user_that_a_later_one_has_given() -> None:
    async with identifying_socket() as (socket, server, channels):
        first, second = await begin(socket, channels, "1", "1")
        channels.know(1)
        await second
        first.cancel()
        await asyncio.wait({first})
        assert socket.user == "1"
        assert server.registry.users.of("0") == ()


async def test_a_cancelled_call_leaves_the_user_that_another_one_is_about_to_give() -> None:
    async with identifying_socket() as (socket, _, channels):
        first, second = await begin(socket, channels, "1", "1")
        first.cancel()
        await asyncio.wait({first})
        assert socket.user == "1"
        channels.know(1)
        await second
        assert socket.user == "1"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("users", [("1", "1"), ("1", "2")])
async def test_the_socket_has_its_former_user_again_once_all_calls_have_failed(
    users: tuple[str, str], order: tuple[int, int]
) -> None:
    async with identifying_socket() as (socket, _, channels):
        calls = await begin(socket, channels, *users)
        for number in order:
            channels.refuse(number)
            with pytest.raises(BusUnavailable):
                await calls[number]
        assert socket.user == "0"


async def test_a_call_that_fails_goes_back_to_the_user_that_the_one_before_has_given() -> None:
    async with identifying_socket() as (socket, _, channels):
        first, second = await begin(socket, channels, "1", "2")
        channels.know(0)
        await first
        channels.refuse(1)
        with pytest.raises(BusUnavailable):
            await second
        assert socket.user == "1"


async def test_a_call_that_ends_after_later_ones_changes_nothing() -> None:
    async with identifying_socket() as (socket, _, channels):
        first, second, third = await begin(socket, channels, "1", "2", "3")
        channels.know(1)
        await second
        channels.know(0)
        await first
        channels.refuse(2)
        with pytest.raises(BusUnavailable):
            await third
        assert socket.user == "2"


async def test_a_socket_whose_former_user_is_taken_is_closed() -> None:
    async with identifying_socket("refuse") as (socket, server, channels):
        (call,) = await begin(socket, channels, "1")
        channels.slow = False
        other, _ = server.connect(Verdict(user="0"))
        await wait_until(lambda: other.ready_wait is None)
        channels.refuse(0)
        with pytest.raises(BusUnavailable):
            await call
        assert not socket.is_open
        assert [client.user for client in server.registry.users.members] == ["0"]
