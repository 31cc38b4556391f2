"""Connections that are accepted in groups."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from crosswire.transport.connection_servers import (
    ACCEPTED_IN_TURN,
    ACCEPTED_WHEN_BEHIND,
    ListeningSocket,
    SocketServer,
)
from crosswire.transport.socket_poller import READABLE, SocketPoller
from tests.support.aio import wait_until
from tests.support.loops import on_every_loop


class Guest(asyncio.Protocol):
    """Protocol of a connection that was accepted."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


class Bench:
    """Server on a socket of its own, which is its gate too."""

    def __init__(self, make_protocol: Callable[[], asyncio.Protocol] | None = None) -> None:
        self.place = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.poller = SocketPoller()
        self.guests: list[Guest] = []
        self.groups: list[int] = []
        self.pauses = 0
        self.most: int | None = None
        self.peers: list[socket.socket] = []
        self.behind: list[str] = []
        self.server = SocketServer(self.place.dup(), self.poller, make_protocol or self._welcome, self, self.behind)

    def _welcome(self) -> Guest:
        guest = Guest()
        self.guests.append(guest)
        if len(self.guests) == self.most:
            self.server.close_soon()
        return guest

    def check(self) -> None:
        self.groups.append(len(self.guests))

    def accept_failed(self, error: OSError) -> None:
        self.pauses += 1
        self.server.close_soon()

    def come(self, count: int) -> None:
        self.peers += [socket.create_connection(self.place.getsockname()) for _ in range(count)]

    def replace_socket(self, accept: Callable[[], tuple[socket.SocketType, object]]) -> None:
        """Let the server accept from a function."""
        real = self.server._place
        self.server._place = cast(ListeningSocket, _FakeSocket(real, accept))


class _FakeSocket:
    def __init__(self, real: socket.socket, accept: Callable[[], tuple[socket.SocketType, object]]) -> None:
        self.take = accept
        self.fileno, self.close = real.fileno, real.close


@asynccontextmanager
async def bench(make_protocol: Callable[[], asyncio.Protocol] | None = None) -> AsyncIterator[Bench]:
    it = Bench(make_protocol)
    yield it
    it.server.close()
    it.server.close()
    it.place.close()
    for peer in it.peers:
        peer.close()
    await wait_until(lambda: not len(it.poller))
    it.poller.end()


@on_every_loop
async def test_connections_that_wait_are_accepted_in_groups() -> None:
    async with bench() as it:
        it.come(ACCEPTED_IN_TURN + 3)
        await wait_until(lambda: len(it.guests) == ACCEPTED_IN_TURN + 3)
        assert it.groups == [ACCEPTED_IN_TURN, ACCEPTED_IN_TURN + 3]
        transport = it.guests[0].transport
        assert transport.get_extra_info("peername") == it.peers[0].getsockname()
        option = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert option, "a connection inherits what its socket has"


async def test_the_more_wait_for_their_turn_the_fewer_are_accepted() -> None:
    async with bench() as it:
        for behind, accepted in ((1, ACCEPTED_IN_TURN - 1), (1000, ACCEPTED_WHEN_BEHIND)):
            it.behind[:] = ["a connection"] * behind
            it.guests.clear()
            it.groups.clear()
            it.come(accepted + 1)
            await wait_until(lambda count=accepted + 1: len(it.guests) == count)  # type: ignore[misc]
            assert it.groups == [accepted, accepted + 1]


async def test_a_gate_that_closes_leaves_the_others_in_the_queue() -> None:
    async with bench() as it:
        it.most = 2
        it.come(5)
        await wait_until(lambda: len(it.guests) == 2)
        assert it.groups == []
        second = SocketServer(it.place.dup(), it.poller, it._welcome, it, it.behind)
        await wait_until(lambda: len(it.guests) == 5)
        second.close()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOBUFS, errno.EINVAL])
async def test_while_nothing_can_be_accepted_it_is_not_tried_again_and_again(code: int) -> None:
    async with bench() as it:

        def accept() -> tuple[socket.SocketType, object]:
            raise OSError(code, "no")

        it.replace_socket(accept)
        it.server.ready(READABLE)
        assert (it.pauses, it.groups) == (1, [])


async def test_a_connection_that_has_failed_before_it_was_accepted_is_skipped() -> None:
    async with bench() as it:
        it.come(1)
        real = it.server._place
        failures: list[OSError] = [OSError(errno.ECONNABORTED, "aborted"), OSError(errno.EPROTO, "protocol error")]

        def accept() -> tuple[socket.SocketType, object]:
            if failures:
                raise failures.pop()
            return real.take()

        it.replace_socket(accept)
        await wait_until(lambda: len(it.guests) == 1)
        assert (failures, it.pauses) == ([], 0)


async def test_a_protocol_that_can_not_begin_ends_its_own_connection_only() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, report: reported.append(report))
    guests: list[Guest] = []

    class Refusing(Guest):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            raise ValueError("no")

    def make_protocol() -> Guest:
        guests.append(Refusing() if not guests else Guest())
        return guests[-1]

    async with bench(make_protocol) as it:
        it.come(2)
        await wait_until(lambda: len(guests) == 2)
        assert [str(each["exception"]) for each in reported] == ["no"]
        assert it.peers[0].recv(1) == b""


async def test_a_protocol_that_can_not_be_made_is_reported_and_its_connection_closed() -> None:
    reported: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, report: reported.append(report["exception"]))

    def make_protocol() -> Guest:
        raise ValueError("no")

    async with bench(make_protocol) as it:
        it.come(1)
        await wait_until(lambda: reported)
        assert [str(each) for each in reported] == ["no"]
        it.peers[0].settimeout(10)
        assert it.peers[0].recv(1) == b""  # although the error, which is kept, has what was on its way


def test_a_listening_socket_accepts_as_the_one_that_it_is_made_from() -> None:
    place = socket.create_server(("127.0.0.1", 0))
    address = place.getsockname()
    with ListeningSocket(place) as listening, socket.create_connection(address) as peer:
        assert place.fileno() == -1
        own, name = listening.accept()
        with own:
            assert name == peer.getsockname()
            assert (own.family, own.type) == (peer.family, peer.type)
