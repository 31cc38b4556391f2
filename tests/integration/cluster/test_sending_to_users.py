from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from crosswire import Server
from crosswire.cluster.interface import Bus
from crosswire.core import envelopes
from crosswire.core.envelopes import ClientMessage
from crosswire.core.event_policies import MessagePolicy
from crosswire.errors import InvalidPayload, NotConnected, UsageError
from tests.integration.cluster.scripted_node import ScriptedNode, scripted_node
from tests.integration.cluster.support import running_servers
from tests.support.aio import wait_until


class Sending(NamedTuple):
    """A server, another node, and what it has heard for user 9."""

    server: Server
    other: ScriptedNode
    heard: list[ClientMessage]

    async def next(self, number: int = 1) -> list[ClientMessage]:
        """Wait for so many messages, and forget them."""
        await wait_until(lambda: len(self.heard) == number)
        taken = self.heard[:]
        self.heard.clear()
        return taken


@asynccontextmanager
async def sending(bus: Bus) -> AsyncIterator[Sending]:
    """Run a server that has sent a message to a user of another node already."""
    heard: list[ClientMessage] = []

    def hear(body: bytes) -> None:
        message = envelopes.decode(body)
        assert isinstance(message, ClientMessage)
        heard.append(message)

    async with running_servers(bus, "a") as (a,), scripted_node(bus) as other:
        other.port.subscribe(other.channels.user("9"), hear)
        await other.port.wait_listening(other.channels.user("9"))
        await wait_until(lambda: "scripted" in a.cluster.nodes)
        tested = Sending(a, other, heard)
        a.user("9").send("x", 0)
        assert await tested.next() == [ClientMessage(b'{"event":"x","payload":0}')]
        yield tested


async def test_a_policy_that_is_declared_later_counts_for_the_next_message(bus: Bus) -> None:
    async with sending(bus) as tested:
        for policy, expected in (("volatile", MessagePolicy("volatile", "x")), ("close", None)):
            tested.server.policy("x", policy)  # type: ignore[arg-type]
            for _ in range(2):
                tested.server.user("9").send("x", 1)
                assert [each.policy for each in await tested.next()] == [expected]


async def test_what_clients_of_other_nodes_want_as_messagepack_has_this_form(bus: Bus) -> None:
    async with sending(bus) as tested:
        tested.other.native.announce(tested.other.beat_of(msgpack=True, asks=True))
        await wait_until(lambda: tested.server.cluster._lifecycle.connection().members.want_msgpack)
        tested.server.user("9").send("x", 1)
        assert [each.msgpack is not None for each in await tested.next()] == [True]


async def test_another_thread_sends_as_the_event_loops_does(bus: Bus) -> None:
    async with sending(bus) as tested:
        for number in range(2):
            for event in ("x", "of the thread"):
                await asyncio.to_thread(tested.server.user("9").send, event, number)
                assert [each.json for each in await tested.next()] == [
                    b'{"event":"%b","payload":%d}' % (event.encode(), number)
                ]


async def test_an_event_that_can_not_be_sent_is_refused_each_time(bus: Bus) -> None:
    events: list[Any] = ["", "$x", 5, None, ["x"], "\ud800"]
    async with sending(bus) as tested:
        for event in events * 2:
            with pytest.raises(UsageError):
                tested.server.user("9").send(event)
        tested.server.user("9").send("y")
        assert [each.json for each in await tested.next()] == [b'{"event":"y","payload":null}']


async def test_data_that_has_no_json_form_is_refused_each_time(bus: Bus) -> None:
    async with sending(bus) as tested:
        for _ in range(2):
            with pytest.raises(InvalidPayload, match="JSON"):
                tested.server.user("9").send("x", object())
        tested.server.user("9").send("x", 1)
        await tested.next()


async def test_a_server_that_was_stopped_sends_nothing(bus: Bus) -> None:
    async with sending(bus) as tested:
        user = tested.server.user("9")
    with pytest.raises(NotConnected):
        user.send("x", 1)
