from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from crosswire.cluster.client_channels import ClientChannels
from crosswire.core.envelopes import Claim
from crosswire.core.formats import JSON_TEXT, AnyOutbox, Encoded, Format
from crosswire.rooms.users import UserIndex
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.server.duplicates import CLAIM_ROUND_TRIP, DuplicatePolicy, Duplicates
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop


class FakeConnection:
    """A connection of a user whose peer answers a ping, or does not."""

    def __init__(self, stamp: int, *, alive: bool = True) -> None:
        self.id = f"socket {stamp}"
        self.user = "13"
        self.format: Format = JSON_TEXT
        self.joins_until = 0.0
        self.stamp = stamp
        self.is_open = True
        self.closes: list[int] = []
        self.probes = 0
        self._alive = alive

    behind = False
    fd = -1

    @property
    def outbox(self) -> AnyOutbox:
        return self

    def push(self, encoded: Encoded, /) -> None:
        raise AssertionError("nothing is sent")

    def offer(self, encoded: Encoded, droppable: object, /) -> None:
        raise AssertionError("nothing is sent")

    def close(self, code: int, reason: str) -> None:
        self.is_open = False
        self.closes.append(code)

    async def drop_if_dead(self) -> bool:
        self.probes += 1
        await asyncio.sleep(0)
        self.is_open = self.is_open and self._alive
        return self.is_open


class FakeChannels:
    """Channels of a server with incarnation "b"; they record the claims."""

    def __init__(self, *, elsewhere: bool) -> None:
        self.claims: list[tuple[int, bool]] = []
        self.is_ready = False
        self._elsewhere = elsewhere

    def stamp(self) -> int:
        return 7

    async def user_ready(self, user: str) -> None:
        if not self.is_ready:
            await asyncio.sleep(0)

    async def may_be_elsewhere(self, user: str) -> bool:
        return self._elsewhere

    def claim(self, user: str, stamp: int, *, alive: bool) -> None:
        self.claims.append((stamp, alive))

    def is_newer(self, claim: Claim, stamp: int) -> bool:
        return (claim.stamp, claim.incarnation) > (stamp, "b")


class DuplicatesUnderTest:
    """A policy with one connection of the user, which came at 5."""

    def __init__(self, mode: Duplicates, *, alive: bool = True, elsewhere: bool = False) -> None:
        self.users: UserIndex[Any] = UserIndex()
        self.policy = DuplicatePolicy(mode, self.users, probe_timeout=2)
        self.channels = FakeChannels(elsewhere=elsewhere)
        self.tasks = BackgroundTasks()
        self.policy.attach(lambda: cast(ClientChannels, self.channels), self.tasks)
        self.connection = FakeConnection(5, alive=alive)
        self.users.add(self.connection)

    async def claim(self, stamp: int, *, alive: bool = False) -> None:
        """Let another server claim the user."""
        self.policy.claimed("13", Claim("a", stamp, alive))
        await self.tasks.wait(1)


async def test_alone_nothing_is_announced() -> None:
    policy = DuplicatePolicy("replace", UserIndex(), probe_timeout=1)
    assert policy.stamp() == 0
    assert policy.announcement(FakeConnection(5)) is None
    await policy.announce(FakeConnection(5))
    policy.claimed("13", Claim("a", 9))
    policy.claim_again()


@pytest.mark.parametrize(("mode", "kept_out"), [("replace", False), ("refuse", True), ("allow", False)])
async def test_an_older_connection_here_keeps_a_newer_one_out_only_in_refuse(mode: Duplicates, kept_out: bool) -> None:
    tested = DuplicatesUnderTest(mode)
    assert tested.policy.keeps_out(FakeConnection(6), "13") == kept_out
    assert not tested.policy.keeps_out(tested.connection, "13")
    tested.policy.close_older("13")
    assert bool(tested.connection.closes) == (mode == "replace")


@pytest.mark.parametrize(("mode", "claims"), [("replace", [(5, False)]), ("refuse", [(5, False)]), ("allow", [])])
async def test_a_connection_is_claimed_when_it_is_announced(mode: Duplicates, claims: list[tuple[int, bool]]) -> None:
    tested = DuplicatesUnderTest(mode)
    await tested.policy.announce(tested.connection)
    assert tested.channels.claims == claims
    tested.policy.claim_again()
    assert tested.channels.claims == 2 * claims


async def test_replace_closes_the_older_of_two_on_different_servers() -> None:
    tested = DuplicatesUnderTest("replace")
    await tested.claim(4)
    assert tested.channels.claims == [(5, True)]
    assert not tested.connection.closes
    await tested.claim(6)
    assert tested.connection.closes == [4012]


@pytest.mark.parametrize("alive", [True, False])
async def test_refuse_keeps_a_newer_one_out_if_the_peer_of_the_older_answers(alive: bool) -> None:
    tested = DuplicatesUnderTest("refuse", alive=alive)
    await tested.claim(6)
    assert tested.connection.probes == 1
    assert tested.channels.claims == ([(5, True)] if alive else [])
    assert tested.connection.is_open == alive


async def test_refuse_closes_the_newer_one_once_the_older_was_heard() -> None:
    tested = DuplicatesUnderTest("refuse")
    await tested.claim(4)
    assert tested.channels.claims == [(5, True)], "the other server then pings its own"
    assert not tested.connection.closes
    await tested.claim(4, alive=True)
    assert tested.connection.closes == [4012]


async def test_a_newer_one_waits_for_objections_until_the_timeout_or_its_end() -> None:
    tested, loop = DuplicatesUnderTest("refuse", elsewhere=True), asyncio.get_running_loop()
    began = loop.time()
    await tested.policy.announce(tested.connection)
    assert loop.time() - began == pytest.approx(2.5, abs=0.1)
    waiting = asyncio.create_task(tested.policy.announce(tested.connection))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    began = loop.time()
    tested.policy.withdraw(tested.connection)
    await waiting
    assert loop.time() - began < 0.1


async def test_two_announcements_of_one_connection_both_wait_for_objections() -> None:
    tested = DuplicatesUnderTest("refuse", elsewhere=True)
    loop = asyncio.get_running_loop()
    began = loop.time()
    first = asyncio.create_task(tested.policy.announce(tested.connection))
    await asyncio.sleep(1)
    await tested.policy.announce(tested.connection)
    assert loop.time() - began >= 1 + 2 + CLAIM_ROUND_TRIP
    assert first.done()
    await first


async def test_a_connection_that_is_kept_out_waits_no_more_in_any_announcement() -> None:
    tested = DuplicatesUnderTest("refuse", elsewhere=True)
    loop = asyncio.get_running_loop()
    began = loop.time()
    announcements = [asyncio.create_task(tested.policy.announce(tested.connection)) for _ in range(2)]
    await asyncio.sleep(1)
    tested.policy.withdraw(tested.connection)
    await asyncio.gather(*announcements)
    assert loop.time() - began < 1.5


async def test_a_connection_that_gets_another_user_is_announced_anew_in_the_same_turn() -> None:
    tested = DuplicatesUnderTest("refuse", elsewhere=True)
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(tested.policy.announce(tested.connection))
    await asyncio.sleep(1)
    began = loop.time()
    loop.call_later(1, tested.policy.withdraw, tested.connection)
    tested.channels.is_ready = True  # as on a bus in memory
    tested.policy.withdraw(tested.connection)
    await tested.policy.announce(tested.connection)
    await first
    assert loop.time() - began < 1.5
