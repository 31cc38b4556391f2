"""The contract of buses as tests, each of which states one sentence of ``crosswire.cluster.interface``.

To test a bus, define how to make one::

    class TestMyBus(BusContract):
        @asynccontextmanager
        async def bus(self):
            yield MyBus()

It needs pytest, from the extra ``crosswire[testing]``.
"""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from crosswire.cluster.interface import Bus
from crosswire.runtime import loops
from crosswire.testing.bus_member import CHANNEL, BusMember
from crosswire.testing.recording import eventually

_BYTES = bytes(range(256))


class BusContract(ABC):
    """The contract of a bus: inherit from it and define :meth:`bus`, and pytest runs it against your bus.

    Attributes:
        counts_listeners: whether the bus can count who listens on a channel.
    """

    counts_listeners = True

    @abstractmethod
    def bus(self) -> AbstractAsyncContextManager[Bus]:
        """Make a bus, for one test and on its event loop."""

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        """Run a test to its end; override it to use another event loop, or to check more."""
        loops.run(test)

    def run_with_members(self, script: Callable[..., Awaitable[None]], count: int = 2, *, start: bool = True) -> None:
        """Run ``script(*members)`` with members of one bus; fail if one of them reported trouble."""

        async def main() -> None:
            async with self.bus() as bus:
                members = [BusMember(bus, f"node {number}") for number in range(count)]
                try:
                    for member in members if start else ():
                        await member.port.start()
                    await script(*members)
                finally:
                    for member in members:
                        await member.port.stop()
                for member in members:
                    trouble = [each for each in member.events if each[0] not in ("paths changed", "health changed")]
                    assert not trouble
                    assert (member.port.dropped, member.port.unreadable, member.port.gaps) == (0, 0, 0)

        self.run(main())

    async def check_listeners(self, member: BusMember, expected: int, channel: bytes = CHANNEL) -> None:
        """Check the number of listeners on a channel; None where the bus can't know it."""
        assert await member.port.count_listeners(channel) == (expected if self.counts_listeners else None)

    # Recipients

    def test_a_message_reaches_every_port_that_listens_except_its_publisher(self) -> None:
        async def script(a: BusMember, b: BusMember, c: BusMember) -> None:
            for member in (a, b, c):
                await member.listen()
            a.port.publish(CHANNEL, b"1")
            b.port.publish(CHANNEL, b"2")
            await eventually(lambda: len(c.received) == 2, "both arrive")
            await a.receives(b"2")
            await b.receives(b"1")
            assert sorted(c.bodies()) == [b"1", b"2"]

        self.run_with_members(script, count=3)

    def test_a_message_reaches_only_its_own_channel(self) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            names = [CHANNEL, CHANNEL + b"2", CHANNEL[:-1], CHANNEL.upper(), b"*", CHANNEL + b"*"]
            await b.listen(*names)
            for name in names:
                a.port.publish(name, name)
            await eventually(lambda: len(b.received) == len(names), "they arrive")
            assert all(channel == body for channel, body in b.received)

        self.run_with_members(script)

    def test_messages_on_a_channel_without_listeners_are_gone(self) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            a.port.publish(CHANNEL, b"1")
            await a.listen(b"later")
            b.port.publish(b"later", b"x")
            await a.receives(b"x", channel=b"later")
            await b.listen()
            a.port.publish(CHANNEL, b"2")
            await b.receives(b"2")

        self.run_with_members(script)

    def test_a_plain_message_is_its_body_alone_and_reaches_its_publisher_too(self) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            await a.listen(plain=True)
            await b.listen(plain=True)
            a.port.publish(CHANNEL, _BYTES, plain=True)
            await b.receives(_BYTES)
            await a.receives(_BYTES)

        self.run_with_members(script)

    def test_an_announcement_reaches_every_other_port_once(self) -> None:
        async def script(a: BusMember, b: BusMember, c: BusMember) -> None:
            for member in (a, b, c):
                await member.listen()
            a.port.announce(CHANNEL, b"here")
            a.port.publish(CHANNEL, b"end")
            await b.receives(b"here", b"end")
            await c.receives(b"here", b"end")
            assert a.received == []

        self.run_with_members(script, count=3)

    # Order

    def test_messages_of_one_publisher_on_one_channel_come_once_and_in_order(self) -> None:
        async def script(*members: BusMember) -> None:
            *publishers, receiver = members
            channels = [b"%d" % number for number in range(5)]
            await receiver.listen(*channels)
            for number in range(100):
                for index, publisher in enumerate(publishers):
                    for channel in channels:
                        publisher.port.publish(channel, b"%d %d" % (index, number))
                if number % 10 == 0:
                    await asyncio.sleep(0)
            await eventually(lambda: len(receiver.received) == 1500, "all arrive")
            for channel in channels:
                for index in range(3):
                    mine = [body for body in receiver.bodies(channel) if body.startswith(b"%d " % index)]
                    assert mine == [b"%d %d" % (index, number) for number in range(100)]

        self.run_with_members(script, count=4)

    def test_announcements_and_messages_keep_their_order(self) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            await b.listen()
            expected = [b"%d" % number for number in range(200)]
            for number, body in enumerate(expected):
                (a.port.announce if number % 3 == 0 else a.port.publish)(CHANNEL, body)
                if number % 20 == 0:
                    await asyncio.sleep(0)
            await b.receives(*expected)

        self.run_with_members(script)

    def test_nothing_is_received_while_something_is_published(self) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            await b.listen()
            for number in range(10):
                a.port.publish(CHANNEL, b"%d" % number)
                assert b.received == []
            await b.receives(*[b"%d" % number for number in range(10)])

        self.run_with_members(script)

    def test_a_receiver_may_publish(self) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            await a.listen()
            b.port.subscribe(CHANNEL, lambda body: b.port.publish(CHANNEL, body + b"!"))
            await b.port.wait_listening(CHANNEL)
            a.port.publish(CHANNEL, b"1")
            a.port.publish(CHANNEL, b"2")
            await a.receives(b"1!", b"2!")

        self.run_with_members(script)

    # Messages and channels

    @pytest.mark.parametrize("size", [0, 1, 1000, 1_000_000])
    @pytest.mark.parametrize("plain", [False, True])
    def test_bodies_of_any_size_arrive_whole(self, size: int, plain: bool) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            await b.listen(plain=plain)
            body = (_BYTES * (size // 256 + 1))[:size]
            a.port.publish(CHANNEL, body, plain=plain)
            a.port.publish(CHANNEL, b"end", plain=plain)
            await b.receives(body, b"end")

        self.run_with_members(script)

    @pytest.mark.parametrize("channel", [b"", b" ", b"\r\n", b"\0", _BYTES, "ü".encode(), b"x" * 10_000, b"[a-z]?*"])
    def test_channels_may_be_any_bytes(self, channel: bytes) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            await b.listen(channel)
            a.port.publish(channel, b"x")
            await b.receives(b"x", channel=channel)
            await self.check_listeners(a, 1, channel)

        self.run_with_members(script)

    # Listening

    def test_is_listening_follows_subscribe_and_unsubscribe(self) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            assert not b.port.is_listening(CHANNEL)
            await b.listen()
            assert b.port.is_listening(CHANNEL)
            b.port.unsubscribe(CHANNEL)
            assert not b.port.is_listening(CHANNEL)

        self.run_with_members(script)

    def test_nothing_comes_after_unsubscribe(self) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            await b.listen(CHANNEL, b"other")
            a.port.publish(CHANNEL, b"under way")
            b.port.unsubscribe(CHANNEL)
            a.port.publish(CHANNEL, b"late")
            a.port.publish(b"other", b"end")
            await b.receives(b"end", channel=b"other")
            assert b.bodies() == []

        self.run_with_members(script)

    def test_unsubscribing_without_a_subscription_does_nothing(self) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            b.port.unsubscribe(CHANNEL)
            await b.listen()
            b.port.unsubscribe(b"other")
            a.port.publish(CHANNEL, b"x")
            await b.receives(b"x")

        self.run_with_members(script)

    def test_the_last_receiver_of_a_channel_gets_its_messages(self) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            b.port.subscribe(CHANNEL, lambda _body: pytest.fail("the first one got it"))
            await b.listen()
            a.port.publish(CHANNEL, b"x")
            await b.receives(b"x")

        self.run_with_members(script)

    @pytest.mark.parametrize("turns", [0, 1, 3])
    def test_leaving_and_joining_at_any_speed_does_not_lose_the_subscription(self, turns: int) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            for _ in range(20):
                b.subscribe()
                for _ in range(turns):
                    await asyncio.sleep(0)
                b.port.unsubscribe(CHANNEL)
                for _ in range(turns):
                    await asyncio.sleep(0)
            await b.listen()
            a.port.publish(CHANNEL, b"x")
            await b.receives(b"x")
            await self.check_listeners(a, 1)

        self.run_with_members(script)

    def test_listening_returns_for_a_channel_that_is_not_subscribed(self) -> None:
        async def script(a: BusMember) -> None:
            await asyncio.wait_for(a.port.wait_listening(CHANNEL), 1)

        self.run_with_members(script, count=1)

    def test_listeners_counts_the_ports_that_listen(self) -> None:
        async def script(a: BusMember, b: BusMember, c: BusMember) -> None:
            await self.check_listeners(a, 0)
            for member in (a, b, c):
                await member.listen()
            await self.check_listeners(a, 3)
            await c.port.stop()
            if self.counts_listeners:
                async with asyncio.timeout(10):  # that another one is gone may be learned after the next question
                    while await a.port.count_listeners(CHANNEL) != 2:  # noqa: ASYNC110 - no event tells of it
                        await asyncio.sleep(0.001)

        self.run_with_members(script, count=3)

    # Life

    def test_a_subscription_before_the_start_works_after_it(self) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            b.subscribe()
            assert not b.port.available
            await b.port.start()
            await a.port.start()
            await b.port.wait_listening(CHANNEL)
            assert b.port.available
            a.port.publish(CHANNEL, b"x")
            await b.receives(b"x")

        self.run_with_members(script, start=False)

    def test_messages_published_before_the_stop_arrive(self) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            await b.listen()
            for number in range(100):
                a.port.publish(CHANNEL, b"%d" % number)
            await a.port.stop()
            assert not a.port.available
            await b.receives(*[b"%d" % number for number in range(100)])

        self.run_with_members(script)

    def test_a_port_that_has_stopped_receives_nothing(self) -> None:
        async def script(a: BusMember, b: BusMember, c: BusMember) -> None:
            await b.listen()
            await c.listen()
            await b.port.stop()
            a.port.publish(CHANNEL, b"x")
            await c.receives(b"x")
            assert b.received == []
            assert not b.port.is_listening(CHANNEL)

        self.run_with_members(script, count=3)

    def test_a_port_may_be_stopped_twice_and_without_a_start(self) -> None:
        async def script(a: BusMember) -> None:
            await a.port.stop()
            await a.port.stop()

        self.run_with_members(script, count=1, start=False)

    def test_messages_arrive_whatever_paths_are_preferred(self) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            await b.listen()
            for number, paths in enumerate([None, (), a.port.paths, ("elsewhere",), (*b.port.paths, "elsewhere")]):
                a.port.use_paths(paths)
                a.port.publish(CHANNEL, b"%d" % number)
            await b.receives(b"0", b"1", b"2", b"3", b"4")

        self.run_with_members(script)

    def test_messages_of_a_forgotten_port_still_arrive(self) -> None:
        async def script(a: BusMember, b: BusMember) -> None:
            await b.listen()
            a.port.publish(CHANNEL, b"1")
            await b.receives(b"1")
            # A duplicate must have come before, or it would be taken for a new message.
            await a.port.count_listeners(CHANNEL)
            b.port.subscribe(CHANNEL + b"-other", lambda body: None)
            await b.port.wait_listening(CHANNEL + b"-other")
            b.port.forget(a.port.origin)
            a.port.publish(CHANNEL, b"2")
            await b.receives(b"1", b"2")

        self.run_with_members(script)
